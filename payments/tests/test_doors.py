"""create-checkout-session and session-status: what they answer, and when they refuse (DESIGN 6.7, 6.9)."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
import responses
from django.utils import timezone

from bookings.facts import AsyncResult, IntentKind, Outcome
from bookings.models import Booking, BookingFlow, Intent
from bookings.tests.hostile import assert_refused, nothing_written
from bookings.tests.marketplace import (
    HEARD,
    Caller,
    begun,
    caller,
    cancelled,
    checkout_seen,
    heard,
    offer,
    opened,
    paid,
)
from payments.records import record_checkout
from payments.settlement import settled_flow
from payments.tests.stripe_schema import fixture

pytestmark = pytest.mark.django_db

CREATE, STATUS = "/api/stripe/create-checkout-session", "/api/stripe/session-status"
SESSIONS = "https://api.stripe.com/v1/checkout/sessions"
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")


@pytest.fixture
def ann() -> Caller:
    return caller("ann@example.com")


@pytest.fixture
def booking(ann: Caller) -> Booking:
    """A slot that Calendly has told of and that can be paid for."""
    return heard(begun(ann, offer()), "INV")


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def session_json(booking: Booking, session_id: str = "cs_test_1", **changes: Any) -> dict[str, Any]:
    """A session of this booking's flow as Stripe's API gives it."""
    seen = checkout_seen(booking, session_id)
    return {
        **fixture("checkout.session"),
        "id": session_id,
        "amount_total": seen.amount_total_minor,
        "currency": seen.currency.lower(),
        "client_reference_id": booking.id,
        "metadata": seen.metadata,
        "created": int(seen.created_at.timestamp()),
        "expires_at": int(seen.expires_at.timestamp()),
        "payment_intent": None,
        "payment_status": "unpaid",
        "status": "open",
        "url": seen.url,
        **changes,
    }


def stripe_opens(wire: responses.RequestsMock, booking: Booking) -> None:
    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        return 200, {}, json.dumps(session_json(booking))

    wire.add_callback("POST", SESSIONS, answer)


def create(client: Caller, booking: Booking, **more: str) -> Any:
    return client.post(CREATE, {"bookingId": booking.id, **more})


def code_and_details(response: Any) -> tuple[str, dict[str, Any]]:
    error = response.json()["error"]
    details = {name: value for name, value in error["details"].items() if name != "requestId"}
    return error["code"], details


def test_a_checkout_is_opened_and_answered_as_the_contract_says(ann: Caller, booking: Booking, wire):
    stripe_opens(wire, booking)
    response = create(ann, booking)
    assert response.status_code == 200, response.content
    answer = response.json()
    assert answer.keys() == {"success", "sessionId", "url", "expiresAt"}
    assert answer["success"] is True
    assert (answer["sessionId"], answer["url"]) == ("cs_test_1", "https://checkout.stripe.com/c/pay/cs_test_1")
    assert UTC_TIME.fullmatch(answer["expiresAt"])
    flow = BookingFlow.objects.get(pk=booking.flow_id)
    assert flow.hold_ends_at
    assert answer["expiresAt"][:19] == flow.hold_ends_at.isoformat()[:19]

    again = create(ann, booking)
    assert again.json() == answer
    assert len(wire.calls) == 1


def test_the_back_end_may_open_a_clients_checkout(booking: Booking):
    opened(booking)
    assert create(caller("shop@example.com", back_end=True), booking).json()["sessionId"] == "cs_test_1"


def unseen(flow: BookingFlow) -> Booking:
    return Booking.objects.create(flow=flow, claimed_event_id="EV", claimed_invitee_id="INV")


def settled(booking: Booking) -> None:
    with settled_flow(booking.flow_id, HEARD):
        pass


def test_an_unseen_booking_is_a_conflict(ann: Caller):
    booking = unseen(begun(ann, offer()))
    with nothing_written_but_the_verdict(booking):
        response = create(ann, booking)
    assert response.status_code == 409
    assert code_and_details(response) == ("BOOKING_CONFLICT", {"reason": "unseen"})


def test_a_free_booking_is_a_conflict(ann: Caller):
    booking = heard(begun(ann, offer(0)))
    with nothing_written():
        response = create(ann, booking)
    assert response.status_code == 409
    assert code_and_details(response) == ("BOOKING_CONFLICT", {"reason": "free"})


def test_a_paid_booking_is_a_conflict(ann: Caller, booking: Booking):
    opened(booking)
    paid(booking)
    with nothing_written():
        response = create(ann, booking)
    assert response.status_code == 409
    assert code_and_details(response) == ("BOOKING_CONFLICT", {"reason": "paid"})


def test_a_rescheduled_booking_is_a_conflict_that_names_the_next_one(ann: Caller):
    flow = begun(ann, offer())
    old = heard(flow, "INV-1", cancellation=cancelled(), rescheduled=True, new_invitee_id="INV-2", new_event_id="EV-2")
    new = heard(flow, "INV-2", old_invitee_id="INV-1", old_event_id="EV-INV-1")
    with nothing_written():
        response = create(ann, old)
    assert response.status_code == 409
    assert code_and_details(response) == ("BOOKING_CONFLICT", {"reason": "rescheduled", "rescheduledTo": new.id})


def nothing_written_but_the_verdict(booking: Booking) -> Any:
    """A row that came about outside of a settled flow gets its verdict first; then nothing."""
    settled(booking)
    return nothing_written()


def after_the_hold(ann: Caller, time_machine: Any) -> Booking:
    booking = heard(begun(ann, offer()))
    time_machine.move_to(timezone.now() + timedelta(minutes=31), tick=True)
    return booking


def after_the_decision(ann: Caller, time_machine: Any) -> Booking:
    flow = begun(ann, offer())
    heard(flow, "INV-1")
    return heard(flow, "INV-1", cancellation=cancelled())


def after_the_start(ann: Caller, time_machine: Any) -> Booking:
    booking = heard(begun(ann, offer()), start=timezone.now() + timedelta(minutes=7))
    time_machine.move_to(timezone.now() + timedelta(minutes=8), tick=True)
    return booking


@pytest.mark.parametrize("make", [after_the_hold, after_the_decision, after_the_start])
def test_when_the_time_is_over_it_is_gone(ann: Caller, time_machine: Any, make: Callable[[Caller, Any], Booking]):
    booking = make(ann, time_machine)
    settled(booking)
    with nothing_written():
        response = create(ann, booking, returnUrl="http://testserver/")
    assert response.status_code == 410
    assert code_and_details(response) == ("SESSION_EXPIRED", {})


def test_a_card_that_stripe_refuses_at_once_is_a_402(ann: Caller, booking: Booking, wire):
    wire.post(SESSIONS, status=402, json={"error": {"type": "card_error", "message": "No."}})
    response = create(ann, booking)
    assert_refused(response, 402)
    assert response.json()["error"]["code"] == "PAYMENT_FAILED"


@pytest.mark.parametrize("status", [400, 401, 403])
def test_what_stripe_refuses_is_a_502_to_be_tried_later(ann: Caller, booking: Booking, wire, status):
    error = {"type": "invalid_request_error", "message": "secret words of Stripe's"}
    wire.post(SESSIONS, status=status, json={"error": error})
    response = create(ann, booking)
    assert_refused(response, 502)
    assert response.json()["error"]["code"] == "STRIPE_API_ERROR"
    assert int(response["Retry-After"]) > 0
    assert b"secret words" not in response.content


def test_a_stripe_that_cannot_be_reached_is_a_502_within_the_time_of_a_request(ann: Caller, booking: Booking, wire):
    started = timezone.now()
    response = create(ann, booking)  # nothing is registered, so nothing answers
    assert_refused(response, 502)
    assert timezone.now() - started < timedelta(seconds=9)
    intent = Intent.objects.get(flow_id=booking.flow_id, kind=IntentKind.OPEN_CHECKOUT)
    assert (intent.outcome, intent.lease_until) == (Outcome.OPEN, None)


KEYS = {"success", "sessionId", "status", "paymentStatus", "paymentIntentId", "receiptUrl"}


def test_an_open_session_is_read_from_stripe_once_in_ten_seconds(ann: Caller, booking: Booking, wire):
    wire.get(f"{SESSIONS}/cs_test_1", json=session_json(booking))
    opened(booking)
    for _ in range(3):
        answer = ann.get(f"{STATUS}/cs_test_1").json()
    assert answer == {
        "success": True,
        "sessionId": "cs_test_1",
        "status": "OPEN",
        "paymentStatus": "UNPAID",
        "paymentIntentId": None,
        "receiptUrl": None,
    }
    assert len(wire.calls) == 1


def test_a_session_is_answered_from_what_is_known_while_stripe_is_away(ann: Caller, booking: Booking, wire):
    opened(booking)
    response = ann.get(f"{STATUS}/cs_test_1")
    assert (response.status_code, response.json()["status"]) == (200, "OPEN")


def test_a_paid_session_is_told_without_asking(ann: Caller, booking: Booking, wire):
    opened(booking)
    paid(booking)
    with nothing_written():
        answer = ann.get(f"{STATUS}/cs_test_1").json()
    assert answer.keys() == KEYS
    assert (answer["status"], answer["paymentStatus"]) == ("COMPLETE", "PAID")
    assert answer["paymentIntentId"] == "pi_1"
    assert answer["receiptUrl"] == "https://pay.stripe.com/receipts/1"
    assert len(wire.calls) == 0


@pytest.mark.parametrize(
    ("status", "result", "told"),
    [("expired", "", ("EXPIRED", "UNPAID")), ("complete", "failed", ("COMPLETE", "FAILED"))],
)
def test_an_ended_session_says_how(ann: Caller, booking: Booking, status, result, told):
    opened(booking)
    with settled_flow(booking.flow_id, HEARD) as flow:
        seen = checkout_seen(booking, "cs_test_1", status=status, url=None)
        record_checkout(flow, seen, async_result=AsyncResult(result))
    answer = ann.get(f"{STATUS}/cs_test_1").json()
    assert answer.keys() == KEYS
    assert (answer["status"], answer["paymentStatus"]) == told
