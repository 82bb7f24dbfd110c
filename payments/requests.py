"""What staff ask for beside refunds: cancel, waive, accept, link, note, resolve (LIFECYCLE 3 and 4; DESIGN 6.11).

Each asks for its permission, settles the flow to have it as it is now, and records the fact or says why not
(BookingConflict with `details.reason`). A fact that stands already is not recorded again: two clicks are one.
"""

from django.db import transaction
from django.utils import timezone

from api.errors import InvalidRequest
from bookings.facts import BookingStatus, CancelAsked, Party, Verdict
from bookings.locked import LockedFlow
from bookings.models import Attention, Booking, BookingFlow, Client
from bookings.quantities import Reading
from bookings.staff import (
    CANCEL_BOOKING,
    ISSUE_REFUND,
    LINK_BOOKING,
    NOTE_NO_SHOW,
    RESOLVE_ATTENTION,
    RESOLVE_PAYMENT,
    WAIVE_PAYMENT,
    Staff,
    checked_reason,
    refuse,
)
from payments.cancelling import Cancelled, ask_to_cancel, follow_cancel
from payments.loading import flow_facts, needs_approval
from payments.models import Payment
from payments.settlement import settle, settled_flow


def request_staff_cancel(booking: Booking, staff: Staff, *, reason: str, percent: int | None = None) -> Cancelled:
    """End a booking's flow for the client, at the policy's percentage or at one that staff choose.

    Choosing is sending money back, so it needs that permission too; and what would need a second person's approval as
    a refund is refused ("needs approval"): ask for a refund and a cancel instead. Otherwise as `request_cancel`.
    """
    staff.needs(*((CANCEL_BOOKING,) if percent is None else (CANCEL_BOOKING, ISSUE_REFUND)))
    reason = checked_reason(reason)
    if percent is not None and not 0 <= percent <= 100:
        raise InvalidRequest("A percentage is between 0 and 100.")
    with settled_flow(booking.flow_id, staff.cause) as flow:
        first = ask_to_cancel(flow, booking.id, CancelAsked(flow.now, Party.STAFF, percent=percent), reason)
        if first and percent is not None:
            _refuse_unapproved(flow, percent)
    return follow_cancel(booking, staff.cause, first=first)


def _refuse_unapproved(flow: LockedFlow, percent: int) -> None:
    settle(flow)
    reading = Reading(flow_facts(flow), flow.now)
    generous = percent > reading.policy_percent(flow.now)
    if generous and needs_approval(flow.row.currency, reading.back):
        refuse("More than the policy gives, and so much, needs a second person.", "needs approval")


def request_waive(flow: BookingFlow, staff: Staff, *, reason: str) -> Verdict:
    """Let the client have the session for nothing. Refused once money matches ("paid") or the flow ended ("ended")."""
    staff.needs(WAIVE_PAYMENT)
    reason = checked_reason(reason)
    with settled_flow(flow.pk, staff.cause) as locked:
        verdict = settle(locked)
        if locked.row.waived_at is None:
            _refuse_if_ended_or_paid(verdict)
            if verdict.due == 0:
                refuse("There is nothing to pay.", "free")
            locked.row.waived_at = locked.now
            locked.save(locked.row, f"Payment waived by staff: {reason}")
            verdict = settle(locked)
    return verdict


def request_accept(payment: Payment, staff: Staff, *, reason: str) -> Verdict:
    """Take a mismatched payment as what was due, or adopt an unmatched one as this flow's (R31, R33).

    Refused for another currency ("currency"), for money that needs no resolving ("resolved") or of which some went
    back ("going back"), and wherever it would go straight back: after other money ("paid"), a waive ("waived"), or
    the end ("ended").
    """
    staff.needs(RESOLVE_PAYMENT)
    reason = checked_reason(reason)
    with settled_flow(payment.flow_id, staff.cause) as flow:
        verdict = settle(flow)
        row = Payment.objects.get(pk=payment.pk)
        if row.accepted_at is None:
            _refuse_if_ended_or_paid(verdict)
            _refuse_unacceptable(flow, row)
            row.accepted_at = flow.now
            flow.save(row, f"Accepted by staff: {row.captured_minor} {row.currency} (minor units): {reason}")
            verdict = settle(flow)
            if verdict.decision:
                # The hold is over, and only this money kept the flow from its end (D4).
                refuse("The slot was never confirmed, and its hold is over.", "ended")
    return verdict


def _refuse_unacceptable(flow: LockedFlow, payment: Payment) -> None:
    reading = Reading(flow_facts(flow), flow.now)
    paid = next(one for one in reading.facts.payments if one.payment_intent_id == payment.pk)
    if reading.facts.waived:
        refuse("The payment was waived.", "waived")
    if paid not in reading.unresolved:
        refuse("This payment needs no resolving.", "resolved")
    if paid.currency != reading.facts.currency:
        refuse("It is in another currency than the price.", "currency")
    if reading.left(paid) < paid.captured:
        refuse("Some of it went back, or is going back.", "going back")


def _refuse_if_ended_or_paid(verdict: Verdict) -> None:
    if verdict.decision:
        refuse("The booking has ended.", "ended")
    if verdict.captured:
        refuse("It is paid.", "paid")


def request_link(flow: BookingFlow, client: Client, staff: Staff, *, reason: str) -> None:
    """Say whose a direct booking is, once (R40). Refused for one that is somebody's ("linked")."""
    staff.needs(LINK_BOOKING)
    reason = checked_reason(reason)
    with settled_flow(flow.pk, staff.cause) as locked:
        if locked.row.client_id == client.pk:
            return
        if locked.row.client_id is not None:
            refuse("This booking has a client.", "linked")
        locked.row.client = client
        locked.save(locked.row, f"Linked by staff to {client}: {reason}")


def request_no_show(booking: Booking, staff: Staff, *, no_show: bool, reason: str) -> Booking:
    """Note that the client did not come, or take it back; later news from Calendly overrules it.

    Refused before the start ("not started") and for a booking that was given up ("cancelled", "rescheduled").
    """
    staff.needs(NOTE_NO_SHOW)
    reason = checked_reason(reason)
    with settled_flow(booking.flow_id, staff.cause) as flow:
        verdict = settle(flow)
        row = next(one for one in flow.bookings if one.pk == booking.pk)
        if row.no_show == no_show:
            return row
        status = verdict.bookings[row.id].status
        if status in (BookingStatus.CANCELLED, BookingStatus.RESCHEDULED):
            refuse("This booking was given up.", status.lower())
        if row.start is None or flow.now < row.start:
            refuse("The session has not started.", "not started")
        row.no_show, row.no_show_at = no_show, flow.now
        what = "the client did not come" if no_show else "the no-show was taken back"
        flow.save(row, f"Noted by staff: {what}: {reason}")
    return row


def request_resolve(attention: Attention, staff: Staff, *, note: str) -> Attention:
    """Close what needed attention, with a note, once: what a verdict raised is not raised again.

    One that is closed already stays as it was closed.
    """
    staff.needs(RESOLVE_ATTENTION)
    note = checked_reason(note)
    if attention.flow_id is None:
        with transaction.atomic():
            row = Attention.objects.select_for_update().get(pk=attention.pk)
            if row.closed_at is None:
                row.closed_at, row.resolved_by, row.note = timezone.now(), staff.user, note
                row.save()
        return row
    with settled_flow(attention.flow_id, staff.cause) as flow:
        settle(flow)
        row = Attention.objects.get(pk=attention.pk)
        if row.closed_at is None:
            row.closed_at, row.resolved_by, row.note = flow.now, staff.user, note
            flow.save(row, f"Resolved by staff: {row.kind}: {note}")
    return row
