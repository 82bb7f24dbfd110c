"""store-event: what Calendly is asked, what is answered, and what of the client is believed (DESIGN 6.3; R4)."""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
import responses

from bookings.models import Booking, BookingFlow, SessionType
from bookings.tests.hostile import assert_refused, nothing_written
from bookings.tests.marketplace import (
    CALENDLY,
    Caller,
    begun,
    caller,
    heard,
    invitee,
    offer,
    opened,
)

pytestmark = pytest.mark.django_db

SCHEDULING = "/api/scheduling"
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")


@pytest.fixture
def ann() -> Caller:
    return caller("ann@example.com")


def store_event(client: Caller, flow: BookingFlow, invitee_id: str = "INV", **more: Any) -> Any:
    event_uri = f"{CALENDLY}/scheduled_events/EV-{invitee_id}"
    body = {
        "bookingFlowId": flow.id,
        "calendlyEventUri": event_uri,
        "calendlyInviteeUri": f"{event_uri}/invitees/{invitee_id}",
    }
    return client.post(f"{SCHEDULING}/calendly/store-event", {**body, **more})


def calendly_tells(
    wire: responses.RequestsMock, session_type: SessionType, invitee_id: str = "INV", **more: Any
) -> None:
    """Calendly's API knows this invitee and its scheduled event."""
    told = invitee(session_type, invitee_id, **more)
    event = told.scheduled_event
    assert event
    assert event.start
    assert event.end
    assert told.created_at
    tracking = {"utm_content": told.flow_id} if told.flow_id else {}
    resource = {
        "uri": event.uri,
        "name": event.name,
        "status": "active",
        "event_type": event.event_type_uri,
        "start_time": event.start.isoformat(),
        "end_time": event.end.isoformat(),
        "invitees_counter": {"active": 1},
    }
    wire.get(event.uri, json={"resource": resource})
    person = {
        "uri": told.uri,
        "event": event.uri,
        "name": told.name,
        "email": told.email,
        "status": "active",
        "created_at": told.created_at.isoformat(),
        "tracking": tracking,
    }
    wire.get(told.uri, json={"resource": person})


@pytest.fixture
def wire():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def test_a_slot_that_calendly_knows_is_to_be_paid(ann: Caller, wire):
    session_type = offer()
    flow = begun(ann, session_type)
    calendly_tells(wire, session_type)
    response = store_event(ann, flow)
    assert response.status_code == 200
    answer = response.json()
    assert answer.keys() == {"success", "bookingId", "nextAction", "paymentUrl", "expiresAt"}
    assert answer["nextAction"] == "REDIRECT_TO_PAYMENT"
    assert answer["paymentUrl"] == f"http://testserver/pay/{answer['bookingId']}"
    assert UTC_TIME.fullmatch(answer["expiresAt"])

    booking = Booking.objects.get(pk=answer["bookingId"])
    url = opened(booking).url
    again = store_event(ann, flow).json()
    assert (again["bookingId"], again["paymentUrl"]) == (booking.id, url)


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_a_slot_that_calendly_does_not_tell_of_is_waited_for(ann: Caller, wire, status):
    wire.get(re.compile(CALENDLY), status=status, json={"title": "No", "message": "No"})
    answer = store_event(ann, begun(ann, offer()), scheduledTime="2026-12-24T11:00:00+01:00").json()
    assert (answer["nextAction"], answer["paymentUrl"]) == ("AWAIT_WEBHOOK", None)
    assert answer.keys() == {"success", "bookingId", "nextAction", "paymentUrl", "expiresAt"}
    status_answer = ann.get(f"{SCHEDULING}/calendly/booking-status/{answer['bookingId']}").json()
    assert (status_answer["status"], status_answer["scheduledTime"]) == ("PENDING", "2026-12-24T10:00:00Z")


def test_a_free_slot_is_waited_for(ann: Caller, wire):
    session_type = offer(0)
    calendly_tells(wire, session_type)
    answer = store_event(ann, begun(ann, session_type)).json()
    assert (answer["nextAction"], answer["paymentUrl"], answer["expiresAt"]) == ("AWAIT_WEBHOOK", None, None)


def test_a_token_that_calendly_does_not_know_is_told(ann: Caller, wire):
    wire.get(re.compile(CALENDLY), status=401, json={"title": "Unauthenticated", "message": "No"})
    flow = begun(ann, offer())
    with nothing_written():
        response = store_event(ann, flow)
        assert_refused(response, 502)
    assert response.json()["error"]["code"] == "CALENDLY_API_ERROR"


def test_only_our_configured_calendly_is_asked_whatever_host_is_named(ann: Caller, wire):
    session_type = offer()
    flow = begun(ann, session_type)
    calendly_tells(wire, session_type)
    evil = "http://169.254.169.254:80/scheduled_events/EV-INV"
    response = store_event(ann, flow, calendlyEventUri=evil, calendlyInviteeUri=f"{evil}/invitees/INV")
    assert response.json()["nextAction"] == "REDIRECT_TO_PAYMENT"
    assert {urlsplit(call.request.url).netloc for call in wire.calls} == {"api.calendly.com"}


@pytest.mark.parametrize("known", [True, False])
def test_an_invitee_of_another_booking_is_a_conflict(ann: Caller, wire, known):
    session_type = offer()
    heard(begun(caller("bob@example.com"), session_type), "INV")
    flow = begun(ann, session_type)
    if known:
        calendly_tells(wire, session_type)
    with nothing_written():
        response = store_event(ann, flow)
        assert_refused(response, 409)
    assert response.json()["error"]["code"] == "BOOKING_CONFLICT"


def test_an_invitee_whose_link_named_another_flow_is_a_conflict(ann: Caller, wire):
    session_type = offer()
    theirs = begun(caller("bob@example.com"), session_type)
    flow = begun(ann, session_type)
    calendly_tells(wire, session_type, flow_id=theirs.id)
    with nothing_written():
        assert_refused(store_event(ann, flow), 409)


def test_an_invitee_of_another_event_type_is_a_conflict(ann: Caller, wire):
    cheap, dear = offer(100), offer(50_000)
    flow = begun(ann, cheap)
    calendly_tells(wire, dear)
    with nothing_written():
        assert_refused(store_event(ann, flow), 409)


def test_what_the_client_says_of_itself_is_not_believed(ann: Caller, wire):
    session_type = offer()
    flow = begun(ann, session_type)
    calendly_tells(wire, session_type)
    said = {"name": "Evil", "email": "evil@example.com", "phoneNumber": "1", "notes": "n"}
    store_event(ann, flow, clientInfo=said, scheduledTime="2099-01-01T00:00:00Z")
    booking = Booking.objects.get(flow=flow)
    assert (booking.name, booking.email) == ("Ann Client", "ann@example.com")
    assert booking.start != datetime(2099, 1, 1, tzinfo=UTC)
