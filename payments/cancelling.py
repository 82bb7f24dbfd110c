"""Ending a flow because somebody asks, and saying beforehand what would come back (contract 1.1; LIFECYCLE D1)."""

from dataclasses import dataclass

from api.calling import Deadline
from api.errors import BookingConflict, RefundFailed
from bookings.facts import BookingStatus, CancelAsked, Party, Quote, RefundStatus, Verdict
from bookings.lifecycle import quote
from bookings.locked import Cause, LockedFlow
from bookings.models import Booking
from bookings.neighbours import neighbours_of
from payments import acting
from payments.loading import flow_facts
from payments.models import Refund
from payments.settlement import settle, settled_flow

SECONDS_FOR_PROVIDERS = 8.0
"""For the calls made inside the request, all together; what is not answered by then is left to the worker."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """How far an ended flow has come."""

    status: str
    """CANCELLED once Calendly has it, else CANCELLATION_PENDING (LIFECYCLE 5)."""
    refund_status: RefundStatus
    refund_id: str | None
    """Stripe's id of the latest refund."""


def request_cancel(
    booking: Booking,
    cause: Cause,
    *,
    by: Party,
    reason: str = "",
    refund_requested: bool = True,
) -> Cancelled:
    """End a booking's flow. Asked again it changes nothing and answers the present state (R30).

    At the policy's percentage. Raises BookingConflict for a booking that was rescheduled or has started; RefundFailed
    when asked again while the refund has failed (DESIGN 6.9).
    """
    with settled_flow(booking.flow_id, cause) as flow:
        first = ask_to_cancel(flow, booking.id, CancelAsked(flow.now, by, refund_requested), reason)
    return follow_cancel(booking, cause, first=first)


def ask_to_cancel(flow: LockedFlow, booking_id: str, asked: CancelAsked, reason: str) -> bool:
    """Write down that somebody asks to end a flow; False if it has ended already, and nothing is written.

    Raises BookingConflict for a booking that was rescheduled or has started.
    """
    verdict = settle(flow)
    if verdict.decision is not None:
        return False
    _refuse_unless_cancellable(flow, booking_id, verdict)
    row = flow.row
    row.cancel_asked_at, row.cancel_asked_by, row.cancel_reason = asked.at, asked.by, reason
    row.cancel_refund_requested, row.cancel_percent = asked.refund_requested, asked.percent
    flow.save(row, f"Cancel asked by {asked.by}" + (f": {reason}" if reason else ""))
    return True


def follow_cancel(booking: Booking, cause: Cause, *, first: bool) -> Cancelled:
    """Make the calls that the end of a booking's flow needs, as far as there is time, and say how far it has come.

    Raises RefundFailed if this was not the first time of asking and the refund has failed.
    """
    acting.act_on_flow(booking.flow_id, Deadline(SECONDS_FOR_PROVIDERS))
    with settled_flow(booking.flow_id, cause) as flow:
        verdict = settle(flow)
    if not first and verdict.refund_status is RefundStatus.FAILED:
        raise RefundFailed
    refund = Refund.objects.filter(payment__flow_id=booking.flow_id).order_by("-made_at", "-recorded_at").first()
    return Cancelled(
        status="CANCELLED" if verdict.bookings[booking.id].calendly_status == "CANCELLED" else "CANCELLATION_PENDING",
        refund_status=verdict.refund_status,
        refund_id=refund.refund_id if refund else None,
    )


def cancellation_quote(booking: Booking, cause: Cause, *, by: Party) -> Quote:
    """What a cancel would bring back now, by its own rules. Raises BookingConflict where the cancel would."""
    with settled_flow(booking.flow_id, cause) as flow:
        verdict = settle(flow)
        if verdict.decision is None:
            _refuse_unless_cancellable(flow, booking.id, verdict)
        return quote(flow_facts(flow), flow.now, by)


def _refuse_unless_cancellable(flow: LockedFlow, booking_id: str, verdict: Verdict) -> None:
    booking = next(one for one in flow.bookings if one.id == booking_id)
    if verdict.bookings[booking_id].status is BookingStatus.RESCHEDULED:
        after = neighbours_of(flow.bookings).get(booking_id, (None, None))[1]
        details = {"reason": "rescheduled", "rescheduledTo": after}
        raise BookingConflict("This booking was rescheduled.", details=details)
    if booking.start and flow.now >= booking.start:
        raise BookingConflict("The session has started.", details={"reason": "started"})
