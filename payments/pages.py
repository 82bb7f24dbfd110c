"""What the page behind a pay link shows: the session, its price, and where the payment stands. No personal data."""

from typing import Any

from django.utils import timezone

from bookings import money
from bookings.facts import BookingStatus, PaymentStatus
from bookings.models import Booking

SENTENCES = {
    "open": "Your slot is held for you. It is yours once you have paid.",
    "confirming": "We are waiting for Stripe to confirm your payment. This page looks again by itself.",
    "waiting": "We are waiting for Calendly to confirm your slot. This page looks again by itself.",
    "paid": "This booking is paid. Nothing is left to do.",
    "free": "There is nothing to pay for this booking.",
    "moved": "This booking was rescheduled. Please use the link of the new one.",
    "over": "The time to pay for this booking is over.",
    "past": "This session is over.",
    "ended": "This booking was cancelled.",
}


def page_of(booking: Booking, *, problem: str = "", returned: bool = False) -> dict[str, Any]:
    """The template's context. `returned` says that the client has just come back from paying."""
    state = _state(booking, returned=returned)
    flow = booking.flow
    return {
        "booking_id": booking.id,
        "name": flow.name,
        "minutes": flow.duration_minutes,
        "price": f"{money.to_major(flow.price_minor, flow.currency)} {flow.currency}",
        "start": booking.start,
        "state": state,
        "sentence": SENTENCES[state],
        "problem": problem,
        "payable": state == "open",
        "look_again": state in ("confirming", "waiting"),
        "hold_ends_at": flow.hold_ends_at if state == "open" else None,
    }


def _state(booking: Booking, *, returned: bool) -> str:
    flow = booking.flow
    if booking.status == BookingStatus.RESCHEDULED:
        return "moved"
    if booking.status == BookingStatus.CANCELLED or flow.decision_row:
        return "over" if flow.decision_row == "D4" else "ended"
    if booking.status == BookingStatus.COMPLETED:
        return "past"
    if booking.status == BookingStatus.CONFIRMED:
        return "paid" if flow.price_minor else "free"
    if booking.invitee_id is None:
        return "waiting"
    if any(at and at <= timezone.now() for at in (flow.hold_ends_at, booking.start)):
        return "over"
    return "confirming" if returned and flow.payment_status == PaymentStatus.PENDING else "open"
