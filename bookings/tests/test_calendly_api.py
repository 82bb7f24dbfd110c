"""Calls to Calendly, at the wire: what is sent, how answers end, retries, waits, deadlines."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import responses
from responses import matchers
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import MaxRetryError, NameResolutionError

from api.calling import Deadline, Refused, Unavailable, Unknown
from bookings import calendly_api

REST = Path(__file__).parent / "fixtures" / "calendly" / "rest"
BASE = "https://calendly.test"
EVENT = f"{BASE}/scheduled_events/EV001"
CANCELLATION = f"{EVENT}/cancellation"
ORGANIZATION = "https://api.calendly.com/organizations/ORG001"


def body(name: str):
    return json.loads((REST / f"{name}.json").read_bytes())


def error(status: int, message: str = ""):
    """One of the errors that Calendly documents: (body, status) for `responses`."""
    [sample] = [
        sample["body"]
        for sample in body("errors")["samples"]
        if sample["status"] == status and message in sample["body"].get("message", "")
    ][:1]
    return {"json": sample, "status": status}


@pytest.fixture(autouse=True)
def configured(settings):
    settings.CALENDLY_API_BASE = BASE
    settings.CALENDLY_API_TOKEN = "the-token"
    settings.CALENDLY_ORGANIZATION = ORGANIZATION


@pytest.fixture(autouse=True)
def waits(monkeypatch) -> list[float]:
    """The waits between tries, in seconds; nobody really waits."""
    waited: list[float] = []
    monkeypatch.setattr("api.calling.time.sleep", waited.append)
    return waited


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def sent(wire: responses.RequestsMock) -> list[bytes | str | None]:
    return [call.request.body for call in wire.calls]


# Reading.


def test_a_scheduled_event_is_read_with_our_token_and_our_own_user_agent(wire):
    wire.get(EVENT, json=body("scheduled_event_001"))

    event = calendly_api.get_scheduled_event("EV001")

    assert (event.event_id, event.cancelled) == ("EV001", True)
    headers = wire.calls[0].request.headers
    assert headers["Authorization"] == "Bearer the-token"
    assert headers["User-Agent"] == "Slotpay/0.1 (+https://github.com/slotpay/slotpay)"


def test_the_token_is_read_anew_for_each_call(wire, settings):
    wire.get(EVENT, json=body("scheduled_event_001"))
    calendly_api.get_scheduled_event("EV001")
    settings.CALENDLY_API_TOKEN = "the-next-token"
    calendly_api.get_scheduled_event("EV001")
    assert [call.request.headers["Authorization"] for call in wire.calls] == [
        "Bearer the-token",
        "Bearer the-next-token",
    ]


def test_an_invitee_is_read(wire):
    wire.get(f"{BASE}/scheduled_events/EV301/invitees/INV001", json=body("scheduled_event_invitee_301"))
    invitee = calendly_api.get_invitee("EV301", "INV001")
    assert (invitee.invitee_id, invitee.old_event_id, invitee.new_event_id) == ("INV001", "EV301_OLD1", "EV301_NEW1")


def test_all_pages_of_invitees_are_read_from_our_own_base(wire):
    first = body("scheduled_event_invitees_201_page1")
    first["pagination"]["next_page"] = "https://evil.example/anything?count=2&page_token=THE%2FNEXT&status=active"
    wire.get(
        f"{BASE}/scheduled_events/EV201/invitees",
        json=first,
        match=[matchers.query_param_matcher({"count": "100"})],
    )
    wire.get(
        f"{BASE}/scheduled_events/EV201/invitees",
        json=body("scheduled_event_invitees_201_page2"),
        match=[matchers.query_param_matcher({"count": "100", "page_token": "THE/NEXT"})],
    )
    assert [invitee.invitee_id for invitee in calendly_api.list_invitees("EV201")] == ["INV003", "INV002", "INV001"]


def test_the_token_of_the_next_page_is_taken_where_it_is_given(wire):
    first = body("scheduled_event_invitees_201_page1")
    first["pagination"]["next_page_token"] = "GIVEN"
    wire.get(f"{BASE}/scheduled_events/EV201/invitees", json=first)
    wire.get(f"{BASE}/scheduled_events/EV201/invitees", json=body("scheduled_event_invitees_201_page2"))
    calendly_api.list_invitees("EV201")
    assert "page_token=GIVEN" in str(wire.calls[1].request.url)


def test_a_list_that_does_not_end_is_given_up(wire):
    page = {"collection": [], "pagination": {"next_page_token": "AGAIN"}}
    wire.get(f"{BASE}/scheduled_events/EV201/invitees", json=page)
    with pytest.raises(Unknown, match="does not end"):
        calendly_api.list_invitees("EV201")
    assert len(wire.calls) == 100


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"collection": {}},
        {"collection": ["EV1"]},
        {"collection": [{"uri": "EV1"}]},
        {"collection": [], "pagination": []},
        {"collection": [], "pagination": {"next_page": "https://api.calendly.com/?page=2"}},
        {"collection": [], "pagination": {"next_page": "https://[::1/?page_token=x]"}},
    ],
)
def test_a_page_that_is_not_understood_is_not_taken_for_the_end(wire, page):
    wire.get(f"{BASE}/scheduled_events/EV201/invitees", json=page)
    with pytest.raises(Unknown, match="not understood"):
        calendly_api.list_invitees("EV201")


def test_event_types_are_listed_for_our_organization(wire):
    params = {"organization": ORGANIZATION, "count": "100"}
    wire.get(f"{BASE}/event_types", json=body("event_types_002_page1"), match=[matchers.query_param_matcher(params)])
    wire.get(
        f"{BASE}/event_types",
        json=body("event_types_002_page2"),
        match=[matchers.query_param_matcher(params | {"page_token": "NEXT_PAGE_TOKEN"})],
    )
    group, solo, active = calendly_api.list_event_types()
    assert (group.kind, solo.kind) == ("group", "solo")
    assert (solo.active, active.active) == (False, True)
    assert active == calendly_api.EventType(
        uri="https://api.calendly.com/event_types/ET001",
        event_type_id="ET001",
        name="15 Minute Meeting",
        slug="15min",
        scheduling_url="https://calendly.com/foobar/15min",
        duration_minutes=15,
        kind="solo",
        is_paid=False,  # not in this older answer
        active=True,
    )


def test_an_event_type_that_calendly_takes_money_for_is_known(wire):
    page = body("event_types_002_page2")
    page["collection"][0]["is_paid"] = True
    wire.get(f"{BASE}/event_types", json=page)
    assert calendly_api.list_event_types()[0].is_paid


# Cancelling.


def test_an_event_is_cancelled_with_a_reason(wire):
    wire.post(CANCELLATION, json=body("cancel_event_002"), status=201)
    calendly_api.cancel_scheduled_event("EV001", "The client cancelled. (in_1)")
    assert sent(wire) == [b'{"reason": "The client cancelled. (in_1)"}']
    assert wire.calls[0].request.headers["Content-Type"] == "application/json"


def test_without_a_reason_none_is_sent(wire):
    wire.post(CANCELLATION, json=body("cancel_event_002"), status=201)
    calendly_api.cancel_scheduled_event("EV001", "")
    assert sent(wire) == [b"{}"]


def test_an_event_that_is_cancelled_already_counts_as_done(wire):
    wire.post(CANCELLATION, **error(403, "Event is already canceled"))
    calendly_api.cancel_scheduled_event("EV001", "Why not")
    assert len(wire.calls) == 1


def test_a_lost_answer_is_made_good_by_the_next_try(wire, waits):
    wire.post(CANCELLATION, body=requests.ReadTimeout())
    wire.post(CANCELLATION, **error(403, "Event is already canceled"))
    calendly_api.cancel_scheduled_event("EV001", "Why not")
    assert waits == [0.1]


@pytest.mark.parametrize(
    ("message", "code"), [("Event in the past", "past"), ("You are not allowed to cancel this event", "forbidden")]
)
def test_what_cannot_be_cancelled_is_refused(wire, message, code):
    wire.post(CANCELLATION, **error(403, message))
    with pytest.raises(Refused) as raised:
        calendly_api.cancel_scheduled_event("EV001", "Why not")
    assert (raised.value.status, raised.value.code, raised.value.message) == (403, code, message)
    assert len(wire.calls) == 1


def test_a_reason_that_is_not_taken_is_left_out_once(wire):
    wire.post(CANCELLATION, **error(400))
    wire.post(CANCELLATION, json=body("cancel_event_002"), status=201)
    calendly_api.cancel_scheduled_event("EV001", "Why not")
    assert sent(wire) == [b'{"reason": "Why not"}', b"{}"]


def test_without_the_reason_too_a_400_is_refused(wire):
    wire.post(CANCELLATION, **error(400))
    with pytest.raises(Refused):
        calendly_api.cancel_scheduled_event("EV001", "Why not")
    assert sent(wire) == [b'{"reason": "Why not"}', b"{}"]


def test_a_400_that_no_reason_caused_is_refused_at_once(wire):
    wire.post(CANCELLATION, **error(400))
    with pytest.raises(Refused):
        calendly_api.cancel_scheduled_event("EV001", "")
    assert len(wire.calls) == 1


def test_without_the_reason_too_an_event_may_be_cancelled_already(wire):
    wire.post(CANCELLATION, **error(400))
    wire.post(CANCELLATION, **error(403, "Event is already canceled"))
    calendly_api.cancel_scheduled_event("EV001", "Why not")
    assert len(wire.calls) == 2


# Webhook subscriptions.


def test_subscriptions_are_listed(wire):
    params = {"organization": ORGANIZATION, "scope": "organization", "count": "100"}
    wire.get(
        f"{BASE}/webhook_subscriptions",
        json=body("webhooks_organization_001"),
        match=[matchers.query_param_matcher(params)],
    )
    first, *others = calendly_api.list_webhook_subscriptions()
    assert len(others) == 2
    assert first == calendly_api.WebhookSubscription(
        subscription_id="ORG_WEBHOOK001",
        callback_url="https://example.com/organization/webhook001",
        events=("invitee.created", "invitee.canceled", "routing_form_submission.created"),
        scope="organization",
        state="active",
    )


def test_a_subscription_is_made_for_the_whole_organization(wire):
    expected = {
        "url": "https://pay.example/api/webhooks/calendly",
        "events": ["invitee.created", "invitee.canceled"],
        "organization": ORGANIZATION,
        "scope": "organization",
        "signing_key": "secret",
    }
    wire.post(
        f"{BASE}/webhook_subscriptions",
        json=body("webhook_user_001"),
        status=201,
        match=[matchers.json_params_matcher(expected)],
    )
    made = calendly_api.create_webhook_subscription(
        "https://pay.example/api/webhooks/calendly", ["invitee.created", "invitee.canceled"], "secret"
    )
    assert made.subscription_id == "USER_WEBHOOK001"


def test_a_second_subscription_for_an_address_is_refused(wire):
    wire.post(f"{BASE}/webhook_subscriptions", **error(409))
    with pytest.raises(Refused) as raised:
        calendly_api.create_webhook_subscription("https://pay.example/", [], "secret")
    assert (raised.value.status, raised.value.code) == (409, "Already Exists")


def test_a_subscription_is_deleted_though_the_answer_has_no_body(wire):
    wire.delete(f"{BASE}/webhook_subscriptions/ORG_WEBHOOK001", status=204)
    calendly_api.delete_webhook_subscription("ORG_WEBHOOK001")


# How calls end.


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_clear_no_is_refused_with_its_status_and_not_repeated(wire, waits, status):
    wire.get(EVENT, **error(status))
    with pytest.raises(Refused) as raised:
        calendly_api.get_scheduled_event("EV001")
    assert raised.value.status == status
    assert raised.value.message == error(status)["json"]["message"]
    assert raised.value.code == error(status)["json"]["title"]
    assert (len(wire.calls), waits) == (1, [])


def test_a_failure_of_calendlys_is_tried_three_times_with_the_contracts_waits(wire, waits):
    wire.get(EVENT, **error(500))
    with pytest.raises(Unknown) as raised:
        calendly_api.get_scheduled_event("EV001")
    assert raised.value.status == 500
    assert (len(wire.calls), waits) == (3, [0.1, 0.2])


def test_a_failure_that_passes_is_forgotten(wire, waits):
    wire.get(EVENT, status=503)
    wire.get(EVENT, body=requests.ConnectTimeout())
    wire.get(EVENT, json=body("scheduled_event_001"))
    assert calendly_api.get_scheduled_event("EV001").event_id == "EV001"
    assert waits == [0.1, 0.2]


def test_a_time_out_while_reading_leaves_open_what_was_done(wire):
    wire.get(EVENT, body=requests.ReadTimeout())
    with pytest.raises(Unknown):
        calendly_api.get_scheduled_event("EV001")


def test_a_time_out_while_connecting_means_that_nothing_was_done(wire):
    wire.get(EVENT, body=requests.ConnectTimeout())
    with pytest.raises(Unavailable) as raised:
        calendly_api.get_scheduled_event("EV001")
    assert raised.value.retry_after is None


def test_an_unknown_host_means_that_nothing_was_done(wire):
    unresolved = NameResolutionError("calendly.test", HTTPConnection("calendly.test"), socket.gaierror())
    failure = MaxRetryError(HTTPConnectionPool("calendly.test"), EVENT, unresolved)
    wire.get(EVENT, body=requests.ConnectionError(failure))
    with pytest.raises(Unavailable, match="cannot be reached"):
        calendly_api.get_scheduled_event("EV001")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"X-RateLimit-Reset": "37"}, 37.0), ({}, 60.0), ({"X-RateLimit-Reset": "soon"}, 60.0)],
)
def test_a_rate_limit_is_not_waited_for(wire, waits, headers, seconds):
    wire.get(EVENT, status=429, headers=headers)
    with pytest.raises(Unavailable) as raised:
        calendly_api.get_scheduled_event("EV001")
    assert (raised.value.status, raised.value.retry_after) == (429, seconds)
    assert (len(wire.calls), waits) == (1, [])


def test_redirects_are_not_followed(wire):
    wire.get(EVENT, status=302, headers={"Location": "https://evil.example/"})
    with pytest.raises(Unavailable, match="redirect"):
        calendly_api.get_scheduled_event("EV001")
    assert {call.request.url for call in wire.calls} == {EVENT}


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"[]", b'"text"', b"null", b"<html></html>", b'{"resource": {', b"\xff\xfe{", b"[" * 100_000),
        b'{"resource": []}',
        b'{"resource": {}}',
        b'{"resource": {"uri": 7}}',
        b"{}",
    ],
    ids=lambda answer: repr(answer[:20]),
)
def test_an_answer_that_is_not_understood_tells_nothing(wire, answer):
    wire.get(EVENT, body=answer)
    with pytest.raises(Unknown):
        calendly_api.get_scheduled_event("EV001")


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_that_is_not_calendlys_own_tells_nothing(wire, status):
    wire.get(EVENT, status=status, body="<html>Attention required!</html>")
    with pytest.raises(Unknown) as raised:
        calendly_api.get_scheduled_event("EV001")
    assert raised.value.status == status


def test_answers_over_one_megabyte_are_not_read(wire):
    padded = {**body("scheduled_event_001"), "padding": "x" * (2**20 - 5000)}
    wire.get(EVENT, json=padded)
    assert calendly_api.get_scheduled_event("EV001").event_id == "EV001"
    wire.replace("GET", EVENT, json=padded | {"padding": "x" * 2**20})
    with pytest.raises(Unknown, match="too long"):
        calendly_api.get_scheduled_event("EV001")


@pytest.mark.parametrize("bad_id", ["", "..", "A/B", "A?x", "A%2fB", "A\n", "é", "a" * 65])
def test_no_id_gets_into_a_path_unchecked(wire, bad_id):
    for call in (
        lambda: calendly_api.get_scheduled_event(bad_id),
        lambda: calendly_api.get_invitee("A", bad_id),
        lambda: calendly_api.get_invitee(bad_id, "A"),
        lambda: calendly_api.list_invitees(bad_id),
        lambda: calendly_api.cancel_scheduled_event(bad_id, ""),
        lambda: calendly_api.delete_webhook_subscription(bad_id),
    ):
        with pytest.raises(ValueError, match="not an id"):
            call()


def test_usual_time_outs_are_three_and_ten_seconds(wire):
    wire.get(EVENT, json=body("scheduled_event_001"), match=[matchers.request_kwargs_matcher({"timeout": (3.0, 10.0)})])
    calendly_api.get_scheduled_event("EV001")


@pytest.fixture
def stopped_clock(monkeypatch):
    monkeypatch.setattr("api.calling.time.monotonic", lambda: 1000.0)


def test_a_deadline_shortens_time_outs(wire, stopped_clock):
    wire.get(EVENT, json=body("scheduled_event_001"), match=[matchers.request_kwargs_matcher({"timeout": (2.0, 2.0)})])
    calendly_api.get_scheduled_event("EV001", deadline=Deadline(2.0))


def test_a_deadline_leaves_out_tries_that_would_outlast_it(wire, waits, stopped_clock):
    wire.get(EVENT, status=500)
    with pytest.raises(Unknown):
        calendly_api.get_scheduled_event("EV001", deadline=Deadline(0.15))
    # As the clock stands still, 0.15 s are left before each wait: enough for 0.1, not for 0.2.
    assert (len(wire.calls), waits) == (2, [0.1])
