"""Writing down what Stripe said about money. These merge facts and decide nothing (LIFECYCLE 3).

A fact is never refused. Saying a thing twice, or after another, ends the same. All take the locked flow.
"""

from datetime import datetime

from bookings.facts import AsyncResult, CheckoutStatus, IntentKind, Outcome
from bookings.locked import LockedFlow, values
from bookings.models import Intent
from payments.models import Checkout, Dispute, Payment, Refund
from payments.stripe_objects import CheckoutSeen, DisputeSeen, PaymentSeen, RefundSeen

CLOSED_DISPUTES = ("won", "lost", "warning_closed", "prevented")
REFUND_RANK = {"pending": 0, "requires_action": 1, "succeeded": 2, "failed": 3, "canceled": 3}


def record_checkout(
    flow: LockedFlow,
    seen: CheckoutSeen,
    *,
    happened_at: datetime | None = None,
    async_result: AsyncResult = AsyncResult.NONE,
    read: bool = False,
) -> Checkout:
    """A checkout session, from an event (`happened_at`, Stripe's time) or just read from the API (`read`).

    An end state stays. One seen complete and paid records its payment in the same transaction.
    """
    row = Checkout.objects.filter(session_id=seen.session_id).first()
    before = values(row) if row else {}
    if row is None:
        row = Checkout(session_id=seen.session_id, flow=flow.row, recorded_at=flow.now, expires_at=seen.expires_at)
        row.intent = _own_intent(flow, IntentKind.OPEN_CHECKOUT, seen.metadata)
        if row.intent and Checkout.objects.filter(intent=row.intent).exists():
            row.intent = None
        row.amount_minor, row.currency = seen.amount_total_minor, seen.currency
    if row.status == CheckoutStatus.OPEN and seen.status in list(CheckoutStatus):
        row.status = CheckoutStatus(seen.status)
        if row.status == CheckoutStatus.COMPLETE:
            row.completed_at = flow.now
    row.paid = row.paid or seen.payment_status == "paid" or async_result is AsyncResult.SUCCEEDED
    row.async_result = row.async_result or async_result
    row.payment_intent_id = row.payment_intent_id or seen.payment_intent_id or ""
    row.url = row.url or seen.url or ""
    new = before != values(row)
    row.read_at = flow.now if read else row.read_at
    if new:
        flow.save(row, f"Stripe: the checkout is {row.async_result or ('paid' if row.paid else row.status)}")
    elif read:
        row.save(update_fields=["read_at"])  # no news, so the flow was not updated
    if row.intent:
        close_intent(flow, row.intent, Outcome.DONE)
    if seen.payment:
        record_payment(flow, seen.payment, happened_at=happened_at, intent=row.intent)
    return row


def record_payment(
    flow: LockedFlow,
    seen: PaymentSeen,
    *,
    happened_at: datetime | None = None,
    intent: Intent | None = None,
    read: bool = False,
) -> Payment:
    """Money that a payment intent took: the most ever seen. The charge's own time wins over an event's."""
    row = _payment(flow, seen.payment_intent_id)
    before = values(row)
    if seen.charge_id and seen.captured_minor and not row.charge_id:
        # So far only the session has spoken, and it tells what it asked for, not what was taken.
        row.captured_minor, row.currency, row.charge_id = seen.captured_minor, seen.currency, seen.charge_id
    elif seen.charge_id or not row.charge_id:
        row.captured_minor = max(row.captured_minor, seen.captured_minor)
        row.currency = row.currency or seen.currency
    row.receipt_url = seen.receipt_url or row.receipt_url
    if row.intent is None:
        row.intent = intent or _own_intent(flow, IntentKind.OPEN_CHECKOUT, seen.metadata)
    if seen.from_charge and seen.captured_at and seen.captured_minor:
        row.captured_at, row.provisional = seen.captured_at, False
    elif row.provisional and seen.captured_minor and happened_at:
        # The earliest event that told of it, in whatever order they came. Our own clock has no say in it.
        row.captured_at = min(row.captured_at or happened_at, happened_at)
    new = before != values(row)
    row.read_at = flow.now if read else row.read_at
    if new:
        took = before["captured_minor"] != row.captured_minor
        flow.save(row, f"Stripe: {row.captured_minor} {row.currency} (minor units) captured" if took else "")
    elif read:
        row.save(update_fields=["read_at"])
    return row


def record_refund(flow: LockedFlow, seen: RefundSeen) -> Refund | None:
    """One refund, ours (by the intent in its metadata) or made outside. Its state only moves up in rank.

    None for one that names no payment intent: there is nothing to hang it on.
    """
    if not seen.payment_intent_id:
        return None
    row = Refund.objects.filter(refund_id=seen.refund_id).first()
    if row is None:
        payment = _payment(flow, seen.payment_intent_id)
        row = Refund(refund_id=seen.refund_id, payment=payment, recorded_at=flow.now, made_at=seen.created_at)
        row.intent = _own_intent(flow, IntentKind.REFUND, seen.metadata)
        if row.intent and Refund.objects.filter(intent=row.intent).exists():
            row.intent = None
        row.amount_minor, row.currency, row.status = seen.amount_minor, seen.currency, seen.status
        row.failure_reason = seen.failure_reason
        flow.save(row, f"Stripe: a refund of {row.amount_minor} {row.currency} (minor units) is {row.status}")
    elif REFUND_RANK.get(seen.status, 0) > REFUND_RANK.get(row.status, 0):
        row.status, row.failure_reason = seen.status, seen.failure_reason or row.failure_reason
        flow.save(row, f"Stripe: the refund is {row.status}")
    if row.intent:
        close_intent(flow, row.intent, Outcome.DONE)
    return row


def record_dispute(flow: LockedFlow, seen: DisputeSeen) -> Dispute | None:
    """One dispute; its state only moves up in rank (R17). None for one that names no payment intent."""
    if not seen.payment_intent_id:
        return None
    row = Dispute.objects.filter(dispute_id=seen.dispute_id).first()
    if row is None:
        payment = _payment(flow, seen.payment_intent_id)
        row = Dispute(dispute_id=seen.dispute_id, payment=payment, recorded_at=flow.now, made_at=seen.created_at)
    before = values(row)
    if not row.status or _dispute_rank(seen.status) >= _dispute_rank(row.status):
        row.inquiry = seen.status.startswith("warning_")
        row.status, row.reason, row.refundable = seen.status, seen.reason, seen.is_charge_refundable
        row.amount_minor, row.currency, row.due_by = seen.amount_minor, seen.currency, seen.due_by
    movements = {one["id"]: one for one in [*row.balance_transactions, *seen.balance_transactions]}
    row.balance_transactions = [movements[one] for one in sorted(movements)]
    if before != values(row):
        flow.save(row, f"Stripe: a dispute is {row.status}")
    return row


def is_contradicted(seen: DisputeSeen) -> bool:
    """Whether a report of the same rank said otherwise (R17). Neither is the newer by itself: read the dispute."""
    row = Dispute.objects.filter(dispute_id=seen.dispute_id).first()
    if row is None or _dispute_rank(row.status) != _dispute_rank(seen.status):
        return False
    known = (row.status, row.reason, row.refundable, row.amount_minor, row.currency, row.due_by)
    told = (seen.status, seen.reason, seen.is_charge_refundable, seen.amount_minor, seen.currency, seen.due_by)
    return known != told


def _dispute_rank(status: str) -> tuple[bool, bool, bool]:
    """Formal above inquiry; in each closed above open; of the open ones what the bank has above what we have."""
    return not status.startswith("warning_"), status in CLOSED_DISPUTES, status.endswith("under_review")


def close_intent(flow: LockedFlow, intent: Intent, outcome: Outcome, note: str = "") -> None:
    """The answer to a call is known. An intent is closed once."""
    if intent.outcome != Outcome.OPEN:
        return
    intent.outcome, intent.closed_at, intent.lease_until, intent.note = outcome, flow.now, None, note[:500]
    flow.save(intent, f"{intent.kind}: {outcome}{': ' + note[:200] if note else ''}")


def _payment(flow: LockedFlow, payment_intent_id: str) -> Payment:
    row = Payment.objects.filter(payment_intent_id=payment_intent_id).first()
    if row is None:
        row = Payment(payment_intent_id=payment_intent_id, flow=flow.row, recorded_at=flow.now)
        flow.save(row)
    return row


def _own_intent(flow: LockedFlow, kind: IntentKind, metadata: dict[str, str]) -> Intent | None:
    """The intent of this flow that an object names in its metadata."""
    named = metadata.get("intent", "")
    return Intent.objects.filter(id=named, flow=flow.row, kind=kind).first() if named else None
