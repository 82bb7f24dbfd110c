"""Stripe's side: checkout sessions, payments, refunds and disputes.

A payment is recorded together with what became of it, in one transaction: so nothing is decided on money of which a
part went back before.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from django.db.models import QuerySet

from api.calling import patiently
from bookings.facts import AsyncResult, CheckoutStatus
from bookings.locked import Cause, LockedFlow
from operations.reconciling.findings import MOST_HELD, Findings
from payments import mirror, stripe_api
from payments.finding import flow_of_money
from payments.models import Checkout, Dispute, Payment, Refund
from payments.records import CLOSED_DISPUTES, record_checkout, record_dispute, record_payment, record_refund
from payments.stripe_objects import CheckoutSeen, DisputeSeen, PaymentSeen, RefundSeen

CAUSE = Cause("clock", "stripe", "reconcile")
REFUNDS_ON_THE_WAY = ("pending", "requires_action")


@dataclass
class _Shown:
    """What Stripe has shown in this run."""

    findings: Findings
    sessions: set[str] = field(default_factory=set)
    payments: set[str] = field(default_factory=set)
    refunds: dict[str, list[RefundSeen]] = field(default_factory=lambda: defaultdict(list))
    """By payment intent, as are the disputes."""
    disputes: dict[str, list[DisputeSeen]] = field(default_factory=lambda: defaultdict(list))

    def refund(self, seen: RefundSeen) -> None:
        """Keep a refund until its payment comes, as also a dispute."""
        self.findings.looked_at += 1
        self.refunds[seen.payment_intent_id or ""].append(seen)

    def dispute(self, seen: DisputeSeen) -> None:
        self.findings.looked_at += 1
        self.disputes[seen.payment_intent_id or ""].append(seen)

    def checkout(self, seen: CheckoutSeen, async_result: AsyncResult = AsyncResult.NONE) -> None:
        """Record a session with its payment, if it is one of ours."""
        self.findings.looked_at += 1
        self.sessions.add(seen.session_id)
        if seen.payment and not seen.payment.captured_minor:
            seen = replace(seen, payment=None)  # not paid yet, or declined: there is nothing to record
        flow_id = flow_of_money(
            seen.metadata,
            session_id=seen.session_id,
            payment_intent_id=seen.payment_intent_id,
            booking_id=seen.client_reference_id,
        )
        if flow_id is None:
            return
        about = f"checkout {seen.session_id}"
        with self._hearing(about, flow_id, {seen.session_id: "checkout.session"}, seen.payment) as flow:
            record_checkout(flow, seen, async_result=async_result)
        if seen.payment:
            self.payments.add(seen.payment.payment_intent_id)

    def payment(self, seen: PaymentSeen) -> None:
        """Record a payment, if it is one of ours and took money."""
        self.findings.looked_at += 1
        if seen.payment_intent_id in self.payments or not seen.captured_minor:
            return
        self.payments.add(seen.payment_intent_id)
        flow_id = flow_of_money(seen.metadata, payment_intent_id=seen.payment_intent_id, charge_id=seen.charge_id)
        about = f"payment {seen.payment_intent_id}"
        if flow_id:
            with self._hearing(about, flow_id, {}, seen) as flow:
                record_payment(flow, seen)
        elif named := seen.metadata.get("flowId"):
            self.findings.leave(about, f"it names the flow {named}, which is not known")

    @contextmanager
    def _hearing(
        self, about: str, flow_id: str, objects: dict[str, str], payment: PaymentSeen | None
    ) -> Iterator[LockedFlow]:
        """Record something and, with it, what became of its payment. `objects` are kinds by id.

        If anything was new, staff's copies of it all will be read anew, too.
        """
        payment_intent_id = payment.payment_intent_id if payment else ""
        refunds, disputes = self.refunds.get(payment_intent_id, []), self.disputes.get(payment_intent_id, [])
        before = self.findings.new
        with self.findings.hearing(about, flow_id, CAUSE) as flow:
            yield flow
            for refund in refunds:
                record_refund(flow, refund)
            for dispute in disputes:
                record_dispute(flow, dispute)
        if self.findings.new > before:
            objects = objects | {one.refund_id: "refund" for one in refunds}
            objects |= {one.dispute_id: "dispute" for one in disputes}
            if payment:
                objects |= {payment_intent_id: "payment_intent", payment.charge_id or "": "charge"}
            for object_id, kind in objects.items():
                if object_id:
                    mirror.mark_stale(kind, object_id)


def reconcile_stripe(findings: Findings, since: datetime, until: datetime | None = None) -> None:
    """Read what was made at Stripe in this time, and what we hold unfinished that Stripe's lists did not show."""
    shown = _Shown(findings)
    with findings.provider("Stripe"):
        # First what became of payments, so that it is known when they are recorded.
        for refund in stripe_api.list_refunds_between(since, until):
            shown.refund(refund)
        for dispute in stripe_api.list_disputes_between(since, until):
            shown.dispute(dispute)
        _read_unfinished(shown)
        for checkout in stripe_api.list_checkouts_between(since, until):
            with findings.each(f"checkout {checkout.session_id}"):
                shown.checkout(checkout)
        for checkout in stripe_api.list_failed_checkouts_between(since, until):
            with findings.each(f"checkout {checkout.session_id}"):
                shown.checkout(checkout, AsyncResult.FAILED)
        for payment in stripe_api.list_payments_between(since, until):
            with findings.each(f"payment {payment.payment_intent_id}"):
                shown.payment(payment)
        still_open = Checkout.objects.filter(status=CheckoutStatus.OPEN).order_by("recorded_at")
        for session_id in _not_in(shown.sessions, still_open):
            with findings.each(f"checkout {session_id}"):
                shown.checkout(patiently(partial(stripe_api.read_checkout, session_id)))
        for payment_intent_id in sorted({*shown.refunds, *shown.disputes} - shown.payments - {""}):
            with findings.each(f"payment {payment_intent_id}"):
                shown.payment(patiently(partial(stripe_api.read_payment, payment_intent_id)))


def reconcile_stripe_flow(findings: Findings, flow_id: str) -> None:
    """Read every checkout and payment of a flow, and what became of the money."""
    shown = _Shown(findings)
    with findings.provider("Stripe"):
        for session_id in Checkout.objects.filter(flow=flow_id).values_list("pk", flat=True):
            with findings.each(f"checkout {session_id}"):
                checkout = patiently(partial(stripe_api.read_checkout, session_id))
                _read_what_became_of(checkout.payment_intent_id, shown)
                shown.checkout(checkout)
        payments = Payment.objects.filter(flow=flow_id).exclude(pk__in=shown.payments)
        for payment_intent_id in payments.values_list("pk", flat=True):
            with findings.each(f"payment {payment_intent_id}"):
                payment = patiently(partial(stripe_api.read_payment, payment_intent_id))
                _read_what_became_of(payment_intent_id, shown)
                shown.payment(payment)


def _read_unfinished(shown: _Shown) -> None:
    """The refunds and disputes that may still change, as far as they were made before the time that was asked for."""
    on_the_way = Refund.objects.filter(status__in=REFUNDS_ON_THE_WAY).order_by("recorded_at")
    for refund_id in _not_in({one.refund_id for each in shown.refunds.values() for one in each}, on_the_way):
        with shown.findings.each(f"refund {refund_id}"):
            shown.refund(patiently(partial(stripe_api.read_refund, refund_id)))
    undecided = Dispute.objects.exclude(status__in=CLOSED_DISPUTES).order_by("recorded_at")
    for dispute_id in _not_in({one.dispute_id for each in shown.disputes.values() for one in each}, undecided):
        with shown.findings.each(f"dispute {dispute_id}"):
            shown.dispute(patiently(partial(stripe_api.read_dispute, dispute_id)))


def _not_in(shown: set[str], held: QuerySet[Any]) -> list[str]:
    """The ids of those that were not shown, at most `MOST_HELD`."""
    return list(islice((pk for pk in held.values_list("pk", flat=True) if pk not in shown), MOST_HELD))


def _read_what_became_of(payment_intent_id: str | None, shown: _Shown) -> None:
    if payment_intent_id:
        for refund in patiently(partial(stripe_api.list_refunds, payment_intent_id)):
            shown.refund(refund)
        for dispute in patiently(partial(stripe_api.list_disputes, payment_intent_id)):
            shown.dispute(dispute)
