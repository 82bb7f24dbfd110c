"""What the page behind a pay link says, state by state."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from bookings.facts import BookingStatus, PaymentStatus
from bookings.models import Booking, BookingFlow
from payments.pages import page_of

HOUR = timedelta(hours=1)


def booking(starts: timedelta = HOUR, held: timedelta | None = HOUR, flow: Any = None, **fields: Any) -> Booking:
    """Unless said otherwise: seen, unpaid, held for an hour and starting in one."""
    now = timezone.now()
    usual: dict[str, Any] = {"price_minor": 12_000, "currency": "USD", "payment_status": PaymentStatus.PENDING}
    hold_ends_at = None if held is None else now + held
    whole = BookingFlow(**{**usual, **(flow or {})}, hold_ends_at=hold_ends_at)
    return Booking(**{"invitee_id": "A", **fields}, flow=whole, start=now + starts)


@pytest.mark.parametrize(
    ("facts", "returned", "state"),
    [
        ({}, False, "open"),
        ({}, True, "confirming"),
        ({"flow": {"payment_status": PaymentStatus.FAILED}}, True, "open"),
        ({"invitee_id": None}, False, "waiting"),
        ({"held": -HOUR}, False, "over"),
        ({"held": None}, False, "open"),
        ({"held": None, "starts": -HOUR}, False, "over"),
        ({"status": BookingStatus.CONFIRMED}, True, "paid"),
        ({"status": BookingStatus.CONFIRMED, "flow": {"price_minor": 0}}, False, "free"),
        ({"status": BookingStatus.COMPLETED}, False, "past"),
        ({"status": BookingStatus.RESCHEDULED}, False, "moved"),
        ({"flow": {"decision_row": "D1"}}, True, "ended"),
        ({"flow": {"decision_row": "D4"}}, False, "over"),
        ({"status": BookingStatus.CANCELLED, "flow": {"decision_row": "D2"}}, False, "ended"),
    ],
)
def test_the_page_says_where_the_booking_stands(facts: Any, returned: bool, state: str):
    assert page_of(booking(**facts), returned=returned)["state"] == state
