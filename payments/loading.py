"""A flow's rows as the facts that `decide` takes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Prefetch, QuerySet

from bookings.facts import (
    AsyncResult,
    AttentionKind,
    BookingFacts,
    CancelAsked,
    CheckoutFacts,
    CheckoutStatus,
    Decision,
    DisputeFacts,
    FlowFacts,
    IntentFacts,
    IntentKind,
    InviteeCancelled,
    Outcome,
    Party,
    PaymentFacts,
    RefundFacts,
)
from bookings.locked import LockedFlow
from bookings.models import Attention, Booking, BookingFlow, Intent, RescheduleEdge
from bookings.models.catalogue import read_tiers
from payments.models import Checkout, Dispute, Payment, Refund

OUR_REFERENCE = re.compile(r"\b(it_[0-9A-Z]{26})\W*$")
"""How the reason of every cancel of ours ends (LIFECYCLE 4)."""


@dataclass(frozen=True, slots=True)
class FlowRows:
    """All rows that say something about one flow, each kind in the order in which its facts are told."""

    flow: BookingFlow
    bookings: Iterable[Booking]
    edges: Iterable[RescheduleEdge]
    checkouts: Iterable[Checkout]
    payments: Iterable[Payment]
    refunds: Iterable[Refund]
    disputes: Iterable[Dispute]
    intents: Iterable[Intent]
    attentions: Iterable[Attention]


def flow_facts(flow: LockedFlow) -> FlowFacts:
    """Everything known about a locked flow, in six statements whatever its size."""
    row = flow.row
    return facts_of(
        FlowRows(
            flow=row,
            bookings=flow.bookings,
            edges=flow.edges,
            checkouts=Checkout.objects.filter(flow=row).order_by("pk"),
            payments=Payment.objects.filter(flow=row).order_by("pk"),
            refunds=Refund.objects.filter(payment__flow=row).order_by("pk"),
            disputes=Dispute.objects.filter(payment__flow=row).order_by("pk"),
            intents=Intent.objects.filter(flow=row).order_by("created_at", "pk"),
            attentions=row.attentions.exclude(resolved_by=None).filter(derived=True),
        )
    )


def with_rows(flows: QuerySet[BookingFlow]) -> QuerySet[BookingFlow]:
    """The same flows with their rows, for `loaded_rows`: nine statements for each chunk of `iterator`, and no lock."""
    return flows.select_related("session_type").prefetch_related(
        Prefetch("bookings", Booking.objects.order_by("created_at", "id")),
        "edges",
        Prefetch("checkouts", Checkout.objects.order_by("pk")),
        Prefetch("payments", Payment.objects.order_by("pk")),
        "payments__refunds",
        "payments__disputes",
        Prefetch("intents", Intent.objects.order_by("created_at", "pk")),
        "attentions",
    )


def loaded_rows(flow: BookingFlow) -> FlowRows:
    """The rows of a flow that `with_rows` loaded. Nobody keeps them from changing: for reading only."""
    payments = list(flow.payments.all())
    return FlowRows(
        flow=flow,
        bookings=flow.bookings.all(),
        edges=flow.edges.all(),
        checkouts=flow.checkouts.all(),
        payments=payments,
        refunds=sorted((one for paid in payments for one in paid.refunds.all()), key=lambda one: one.pk),
        disputes=sorted((one for paid in payments for one in paid.disputes.all()), key=lambda one: one.pk),
        intents=flow.intents.all(),
        attentions=flow.attentions.all(),
    )


def facts_of(rows: FlowRows) -> FlowFacts:
    """Everything that these rows say about their flow. Raises ValueError if one says what no code of ours writes."""
    row = rows.flow
    return FlowFacts(
        id=row.id,
        price=row.price_minor,
        currency=row.currency,
        tiers=read_tiers(row.policy_tiers),
        hold=timedelta(seconds=row.hold_seconds),
        event_type_id=row.session_type.event_type_id,
        direct=row.direct,
        client_known=row.client_id is not None,
        waived=row.waived_at is not None,
        decision=_decision(row),
        cancel_asked=_cancel_asked(row),
        bookings=tuple(_booking(one) for one in rows.bookings),
        edges=frozenset((edge.old_invitee_id, edge.new_invitee_id) for edge in rows.edges),
        checkouts=tuple(_checkout(one) for one in rows.checkouts),
        payments=tuple(_payment(one) for one in rows.payments),
        refunds=tuple(_refund(one) for one in rows.refunds),
        disputes=tuple(_dispute(one) for one in rows.disputes),
        intents=tuple(_intent(one) for one in rows.intents),
        resolved=frozenset(
            (AttentionKind(one.kind), one.object_id)
            for one in rows.attentions
            if one.resolved_by_id is not None and one.derived
        ),
    )


def needs_approval(currency: str, amount_minor: int) -> bool:
    """Whether a second person must approve a refund that staff ask for (REFUND_APPROVAL_ABOVE)."""
    limits: dict[str, int] = settings.REFUND_APPROVAL_ABOVE
    return bool(limits) and amount_minor > limits.get(currency, -1)


def _decision(row: BookingFlow) -> Decision | None:
    if row.decision_at is None or row.decision_percent is None:
        return None
    return Decision(
        row.decision_row, row.decision_percent, row.decision_at, Party(row.decision_by), unseen=row.decision_unseen
    )


def _cancel_asked(row: BookingFlow) -> CancelAsked | None:
    if row.cancel_asked_at is None:
        return None
    return CancelAsked(row.cancel_asked_at, Party(row.cancel_asked_by), row.cancel_refund_requested, row.cancel_percent)


def _booking(one: Booking) -> BookingFacts:
    cancelled = None
    if one.cancelled_at:
        reference = OUR_REFERENCE.search(one.cancel_reason)
        cancelled = InviteeCancelled(
            one.cancelled_at, by_host=one.canceler_type == "host", reference=reference.group(1) if reference else None
        )
    return BookingFacts(
        id=one.id,
        recorded_at=one.created_at,
        invitee_id=one.invitee_id,
        event_id=one.event_id,
        event_type_id=one.event_type_id or None,
        start=one.start,
        end=one.end,
        created_at=one.invitee_created_at,
        cancelled=cancelled,
        rescheduled=one.rescheduled,
        left_at=one.left_at,
        gone=one.gone,
        shared=one.shared,
    )


def _checkout(one: Checkout) -> CheckoutFacts:
    return CheckoutFacts(
        session_id=one.session_id,
        intent_id=one.intent_id,
        status=CheckoutStatus(one.status),
        expires_at=one.expires_at,
        paid=one.paid,
        async_result=AsyncResult(one.async_result),
        completed_at=one.completed_at,
        read_at=one.read_at,
    )


def _payment(one: Payment) -> PaymentFacts:
    return PaymentFacts(
        payment_intent_id=one.payment_intent_id,
        captured=one.captured_minor,
        currency=one.currency,
        recorded_at=one.recorded_at,
        intent_id=one.intent_id,
        captured_at=one.captured_at,
        provisional=one.provisional,
        accepted=one.accepted_at is not None,
        read_at=one.read_at,
    )


def _refund(one: Refund) -> RefundFacts:
    return RefundFacts(
        refund_id=one.refund_id,
        payment_intent_id=one.payment_id,
        amount=one.amount_minor,
        status=one.status,
        recorded_at=one.recorded_at,
        intent_id=one.intent_id,
    )


def _dispute(one: Dispute) -> DisputeFacts:
    return DisputeFacts(
        dispute_id=one.dispute_id,
        payment_intent_id=one.payment_id,
        amount=one.amount_minor,
        inquiry=one.inquiry,
        status=one.status,
        refundable=one.refundable,
        recorded_at=one.recorded_at,
    )


def _intent(one: Intent) -> IntentFacts:
    return IntentFacts(
        id=one.id,
        kind=IntentKind(one.kind),
        target=one.target,
        outcome=Outcome(one.outcome),
        created_at=one.created_at,
        amount=one.amount_minor,
        automatic=one.requested_by_id is None,
        awaits_approval=one.needs_approval and one.approved_at is None,
        started=one.started_at is not None or one.lease_until is not None,
        replaces=one.replaces_id,
        closed_at=one.closed_at,
    )
