"""Sending money back because staff ask for it, and the second person who must agree (LIFECYCLE 6; R13, R15, R16, R29).

What staff ask for comes on top of what goes back by itself, and is bounded by what is left of the payment. The worker
makes the call.
"""

import re

from api.errors import BookingConflict, Forbidden, InvalidRequest, NotFound
from bookings.facts import CancelAsked, IntentKind, Outcome, Party, PaymentFacts
from bookings.locked import LockedFlow
from bookings.models import Booking, Intent
from bookings.quantities import Reading
from bookings.staff import APPROVE_REFUND, CANCEL_BOOKING, ISSUE_REFUND, RESOLVE_PAYMENT, Staff, checked_reason, refuse
from payments import jobs
from payments.cancelling import Cancelled, ask_to_cancel, follow_cancel
from payments.loading import flow_facts, needs_approval
from payments.models import Payment
from payments.records import close_intent
from payments.settlement import settle, settled_flow

TOKEN = re.compile(r"it_[0-9A-HJKMNP-TV-Z]{26}")
"""A form's token is the id (`bookings.ids.intent_id`) that its refund will have, so two clicks make one refund."""


def request_refund(
    payment: Payment, amount_minor: int, staff: Staff, *, reason: str, token: str, replaces: str | None = None
) -> Intent:
    """Send a part of a payment back, in minor units of its currency; the booking stays as it is.

    `replaces` is the id of the failed refund that this one makes good. Above REFUND_APPROVAL_ABOVE, and always while
    an inquiry is open, it waits for a second person. The same token again: the same refund. Raises BookingConflict
    with `details.reason` ("not captured", "disputed", "nothing left", "more than left" with `details.left`, "not
    failed", "going back", "other form").
    """
    staff.needs(ISSUE_REFUND)
    with settled_flow(payment.flow_id, staff.cause) as flow:
        return _ask(flow, payment.pk, amount_minor, staff, reason=reason, token=token, replaces=replaces)


def request_return(payment: Payment, staff: Staff, *, reason: str, token: str) -> Intent:
    """Send all that is left of a mismatched or unmatched payment back (R31, R33).

    Raises BookingConflict as `request_refund` does, and with the reason "resolved" for money that matches, was
    accepted or has gone back.
    """
    staff.needs(RESOLVE_PAYMENT)
    with settled_flow(payment.flow_id, staff.cause) as flow:
        return _ask(flow, payment.pk, None, staff, reason=reason, token=token)


def request_refund_and_cancel(
    booking: Booking, payment: Payment, amount_minor: int, staff: Staff, *, reason: str, token: str
) -> Cancelled:
    """End a booking's flow at 0 % and send this much back: both or neither.

    Raises what the two raise alone, and BookingConflict ("ended") for a flow that somebody else has ended.
    """
    staff.needs(ISSUE_REFUND, CANCEL_BOOKING)
    with settled_flow(booking.flow_id, staff.cause) as flow:
        asked = CancelAsked(flow.now, Party.STAFF, percent=0)
        clicked_before = Intent.objects.filter(pk=token, flow=flow.row).exists()
        if not clicked_before and not ask_to_cancel(flow, booking.id, asked, checked_reason(reason)):
            refuse("The booking has ended already.", "ended")
        _ask(flow, payment.pk, amount_minor, staff, reason=reason, token=token)
    return follow_cancel(booking, staff.cause, first=not clicked_before)


def approve_refund(intent: Intent, staff: Staff) -> Intent:
    """Let a refund go that somebody else asked for. Approving it again changes nothing.

    Raises Forbidden for whoever asked for it, superusers too; BookingConflict ("not waiting") for one that was refused
    or withdrawn, or never waited.
    """
    staff.needs(APPROVE_REFUND)
    with settled_flow(intent.flow_id, staff.cause) as flow:
        settle(flow)
        row = Intent.objects.get(pk=intent.pk)
        if row.requested_by_id == staff.user.pk:
            raise Forbidden("Somebody else must approve a refund that you asked for.")
        if row.approved_at is None:
            _refuse_unless_waiting(row)
            row.approved_by, row.approved_at = staff.user, flow.now
            flow.save(row, f"Approved: {_refund_words(row)}")
            jobs.knock_intent(row.id)
    return row


def refuse_refund(intent: Intent, staff: Staff, *, reason: str) -> Intent:
    """Withdraw a refund that waits for approval; whoever asked for it may take it back. Again changes nothing.

    Raises BookingConflict ("not waiting") for one that was approved or made, or never waited.
    """
    staff.needs(ISSUE_REFUND if intent.requested_by_id == staff.user.pk else APPROVE_REFUND)
    reason = checked_reason(reason)
    with settled_flow(intent.flow_id, staff.cause) as flow:
        settle(flow)
        row = Intent.objects.get(pk=intent.pk)
        if row.outcome != Outcome.WITHDRAWN:
            _refuse_unless_waiting(row)
            close_intent(flow, row, Outcome.WITHDRAWN, f"Refused: {reason}")
    return row


def _refuse_unless_waiting(intent: Intent) -> None:
    if intent.outcome != Outcome.OPEN or not intent.needs_approval or intent.approved_at:
        refuse("This refund does not wait for approval.", "not waiting")


def _ask(
    flow: LockedFlow,
    payment_intent_id: str,
    amount_minor: int | None,
    staff: Staff,
    *,
    reason: str,
    token: str,
    replaces: str | None = None,
) -> Intent:
    """Write the refund that staff ask for, or say why not. Without an amount: all of an unresolved payment."""
    reason = checked_reason(reason)
    if not TOKEN.fullmatch(token):
        raise InvalidRequest("This form has no valid token.")
    if amount_minor is not None and amount_minor <= 0:
        raise InvalidRequest("The amount must be above zero.")
    settle(flow)
    if made := Intent.objects.filter(pk=token).first():
        asked = (payment_intent_id, staff.user.pk, amount_minor or made.amount_minor)
        if asked != (made.target, made.requested_by_id, made.amount_minor):
            refuse("This form was sent before with something else in it.", "other form")
        return made
    reading = Reading(flow_facts(flow), flow.now)
    paid = next((one for one in reading.facts.payments if one.payment_intent_id == payment_intent_id), None)
    if paid is None:
        raise NotFound("This booking has no such payment.")
    if amount_minor is None and paid.captured and paid not in reading.unresolved:
        refuse("This payment needs no resolving.", "resolved")
    amount = _checked_amount(reading, paid, amount_minor)
    if replaces is not None:
        failed = next((one for one in reading.facts.intents if one.id == replaces), None)
        if failed is None or failed.target != payment_intent_id or replaces not in reading.failed_refunds():
            refuse("That refund did not fail, or was replaced already.", "not failed")
    intent = Intent(
        id=token,
        flow=flow.row,
        kind=IntentKind.REFUND,
        target=payment_intent_id,
        amount_minor=amount,
        currency=paid.currency,
        why="staff",
        created_at=flow.now,
        next_at=flow.now,
        requested_by=staff.user,
        reason=reason,
        needs_approval=needs_approval(paid.currency, amount) or reading.dispute_open(paid),
        replaces_id=replaces,
    )
    flow.save(intent, f"Asked by staff: {_refund_words(intent)}: {reason}")
    settle(flow)
    intent.refresh_from_db()
    if intent.outcome == Outcome.WITHDRAWN:
        # Not approved yet, it gives way to what goes back by itself as soon as the time of the charge is known.
        refuse("This money is going back by itself.", "going back")
    if not intent.needs_approval:
        jobs.knock_intent(intent.id)
    return intent


def _checked_amount(reading: Reading, paid: PaymentFacts, amount_minor: int | None) -> int:
    """How much may go back of what is asked for; by default all that is left."""
    if not paid.captured:
        refuse("Nothing was captured.", "not captured")
    for dispute in reading.facts.disputes:
        # Closed without loss it is over. An inquiry may be ended by a refund, if Stripe says so (R16).
        harmless = dispute.closed and not dispute.lost
        endable = not dispute.closed and dispute.inquiry and dispute.refundable
        if dispute.payment_intent_id == paid.payment_intent_id and not harmless and not endable:
            refuse("A dispute stands against this payment.", "disputed")
    left = reading.left(paid)
    if left <= 0:
        refuse("Nothing is left of this payment.", "nothing left")
    if amount_minor is not None and amount_minor > left:
        details = {"reason": "more than left", "left": left}
        raise BookingConflict("Less than that is left of this payment.", details=details)
    return left if amount_minor is None else amount_minor


def _refund_words(intent: Intent) -> str:
    return f"a refund of {intent.amount_minor} {intent.currency} (minor units)"
