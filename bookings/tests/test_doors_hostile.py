"""Every door of bookings against hostile input: refused in the envelope, never a 5xx or a redirect, nothing written."""

import json
from typing import Any

import pytest

from bookings.tests.hostile import (
    BODIES,
    CURSORS,
    PATH_IDS,
    assert_refused,
    nothing_written,
    spoiled,
)
from bookings.tests.marketplace import Caller, begun, caller, heard, offer

pytestmark = pytest.mark.django_db

SCHEDULING = "/api/scheduling"
INITIATE, STORE_EVENT = f"{SCHEDULING}/calendly/initiate-booking", f"{SCHEDULING}/calendly/store-event"
CANCEL = f"{SCHEDULING}/cancel-booking"
LISTS = [f"{SCHEDULING}/session-types", f"{SCHEDULING}/bookings"]
BY_ID = [f"{SCHEDULING}/session-types/", f"{SCHEDULING}/bookings/", f"{SCHEDULING}/calendly/booking-status/"]
IDS = {"sessionTypeId", "clientId", "builderProfileId", "bookingFlowId"}


@pytest.fixture
def ann() -> Caller:
    """A client with a booking, so that there is something to be harmed."""
    client = caller("ann@example.com")
    heard(begun(client, offer()), "INV-ANN")
    return client


def good_body(door: str, client: Caller) -> dict[str, Any]:
    """A body that this door would take, with every field that it knows."""
    session_type = offer()
    flow = begun(client, session_type)
    if door == INITIATE:
        return {
            "sessionTypeId": session_type.id,
            "clientId": flow.client_id,
            "builderProfileId": session_type.builder_id,
            "utmParams": {"source": "a", "medium": "b", "campaign": "c"},
        }
    if door == CANCEL:
        booking = heard(flow, "INV-GOOD")
        return {"bookingId": booking.id, "reason": "Ill", "refundRequested": True}
    return {
        "bookingFlowId": flow.id,
        "calendlyEventUri": "https://api.calendly.com/scheduled_events/EV",
        "calendlyInviteeUri": "https://api.calendly.com/scheduled_events/EV/invitees/INV",
        "scheduledTime": "2026-12-24T10:00:00Z",
        "clientInfo": {"name": "Ann", "email": "ann@example.com", "phoneNumber": "1", "notes": "n"},
    }


@pytest.mark.parametrize("door", [INITIATE, STORE_EVENT, CANCEL])
@pytest.mark.parametrize(("raw", "content_type", "status"), BODIES.values(), ids=BODIES)
def test_a_hostile_body_is_refused(ann: Caller, door: str, raw: bytes, content_type: str, status: int):
    with nothing_written():
        assert_refused(ann.send("POST", door, raw, content_type), status)


@pytest.mark.parametrize("door", [INITIATE, STORE_EVENT, CANCEL])
def test_one_wrong_field_spoils_the_whole_body(ann: Caller, door: str):
    body = good_body(door, ann)
    with nothing_written():
        for about, wrong in spoiled(body, IDS):
            assert_refused(ann.post(door, wrong), 400, about=about)


@pytest.mark.parametrize("door", [INITIATE, STORE_EVENT, CANCEL])
def test_a_key_given_twice_is_refused(ann: Caller, door: str):
    raw = json.dumps(good_body(door, ann))
    twice = raw[:-1] + ", " + raw[1:]
    with nothing_written():
        assert_refused(ann.send("POST", door, twice.encode()), 400)


@pytest.mark.parametrize(
    "uri",
    [
        "https://api.calendly.com/scheduled_events/EV/invitees/../../../users/me",
        "https://api.calendly.com/scheduled_events/EV/invitees/%2e%2e",
        "https://api.calendly.com/scheduled_events/EV/invitees/I?x=1",
        "https://api.calendly.com/scheduled_events/EV/invitees/I#x",
        "https://evil@api.calendly.com/scheduled_events/EV/invitees/I",
        "https://api.calendly.com\\@evil/scheduled_events/EV/invitees/I",
        "https://[::1]/scheduled_events/EV/invitees/I",
        "file:///scheduled_events/EV/invitees/I",
        "//api.calendly.com/scheduled_events/EV/invitees/I",
        "https://api.calendly.com/scheduled_events/EV/invitees/I\n",
        "https://api.calendly.com/scheduled_events/OTHER/invitees/I",
        "INV",
        "",
    ],
)
def test_an_address_that_is_no_invitee_is_refused(ann: Caller, uri: str):
    body = {**good_body(STORE_EVENT, ann), "calendlyInviteeUri": uri}
    with nothing_written():
        assert_refused(ann.post(STORE_EVENT, body), 400)


@pytest.mark.parametrize(
    "moment",
    ["2026-12-24", "2026-12-24T10:00:00", "tomorrow", "2026-02-30T10:00:00Z", "9999-12-31T23:59:59-14:00", "\u0661"],
)
def test_a_time_that_is_none_is_refused(ann: Caller, moment: str):
    body = {**good_body(STORE_EVENT, ann), "scheduledTime": moment}
    with nothing_written():
        assert_refused(ann.post(STORE_EVENT, body), 400)


@pytest.mark.parametrize("door", BY_ID)
@pytest.mark.parametrize("an_id", PATH_IDS)
def test_an_id_that_is_none_is_not_found(ann: Caller, door: str, an_id: str):
    with nothing_written():
        assert_refused(ann.get(door + an_id), 404)


@pytest.mark.parametrize("door", LISTS)
def test_a_cursor_that_is_not_ours_is_refused(ann: Caller, door: str):
    with nothing_written():
        for cursor in CURSORS:
            assert_refused(ann.get(door, cursor=cursor), 400, about=cursor)


@pytest.mark.parametrize(
    "status", ["x", "pending", "PENDING ", "PENDING,PAID", "\x00", "é", "x" * 5_000, "['PENDING']"]
)
def test_a_status_that_is_none_is_refused(ann: Caller, status: str):
    with nothing_written():
        assert_refused(ann.get(f"{SCHEDULING}/bookings", status=status), 400)


@pytest.mark.parametrize(
    "query", ["?cursor", "?cursor=", "?%00=%00", "?%ff=%ff", "?status=%ff&status=PENDING", "?a[]=1"]
)
def test_a_query_that_says_nothing_is_not_minded(ann: Caller, query: str):
    assert ann.get(f"{SCHEDULING}/bookings{query}").status_code == 200


def test_a_thousand_and_one_parameters_are_refused(ann: Caller):
    query = "&".join(f"p{number}=1" for number in range(1_001))
    assert_refused(ann.get(f"{SCHEDULING}/bookings?{query}"), 400)


@pytest.mark.parametrize("door", [INITIATE, STORE_EVENT, CANCEL])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_door_to_write_at_answers_post_only(ann: Caller, door: str, method: str):
    raw = json.dumps(good_body(door, ann)).encode()
    with nothing_written():
        response = ann.send(method, door, raw)
    assert response.status_code == 405
    assert "POST" in response["Allow"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_door_to_read_at_answers_get_only(ann: Caller, method: str):
    booking_id = ann.get(LISTS[1]).json()["results"][0]["id"]
    with nothing_written():
        for path in (*LISTS, f"{BY_ID[0]}{offer_id(ann)}", f"{BY_ID[1]}{booking_id}", f"{BY_ID[2]}{booking_id}"):
            response = ann.send(method, path, b"{}")
            assert_refused(response, 405, about=path)
            assert "GET" in response["Allow"]


def offer_id(client: Caller) -> str:
    session_type_id: str = client.get(LISTS[0]).json()["results"][0]["id"]
    return session_type_id


def test_head_answers_as_get_does_without_a_body(ann: Caller):
    response = ann.send("HEAD", LISTS[1])
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("door", [INITIATE, STORE_EVENT, *LISTS, *(f"{each}nobody" for each in BY_ID)])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_trailing_slash_is_another_address_and_no_redirect(ann: Caller, door: str, method: str):
    with nothing_written():
        assert_refused(ann.send(method, f"{door}/", b"{}"), 404)
