"""The answers of the doors of bookings, to the letter of their JSON (contract sections 1.1 and 3.1; DESIGN 5 and 6)."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from django.utils import timezone

from bookings.facts import BookingStatus, PaymentStatus
from bookings.models import Booking, BookingFlow, SessionType
from bookings.tests.hostile import assert_refused, nothing_written
from bookings.tests.marketplace import (
    CALENDLY,
    Caller,
    begun,
    caller,
    cancelled,
    heard,
    invitee,
    offer,
    opened,
    paid,
    refunded,
)

pytestmark = pytest.mark.django_db

SCHEDULING = "/api/scheduling"
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
OFFER_KEYS = {"id", "name", "description", "duration", "price", "currency"}
BOOKING_KEYS = {
    *("id", "clientId", "builderProfileId", "sessionTypeId", "status", "paymentStatus", "scheduledTime", "duration"),
    *("price", "currency", "calendlyEventId", "calendlyEventUri", "calendlyInviteeUri", "createdAt", "updatedAt"),
    # DESIGN 6.5
    *("rescheduledFrom", "rescheduledTo", "disputed", "cancellationPending", "holdExpiresAt", "payUrl"),
}
UNKNOWN_UNTIL = {
    *("stripeSessionId", "stripePaymentIntentId", "stripeRefundId", "cancelReason", "cancelledAt", "cancelledBy"),
    "refundAmount",
}
EXACT = [(12_000, "USD", "120.00"), (8_000, "JPY", "8000"), (1_500, "KWD", "1.500"), (0, "USD", "0.00")]


@pytest.fixture
def ann() -> Caller:
    return caller("ann@example.com")


def initiate(client: Caller, session_type: SessionType, **more: Any) -> Any:
    body = {"sessionTypeId": session_type.id, "builderProfileId": session_type.builder_id, **more}
    return client.post(f"{SCHEDULING}/calendly/initiate-booking", body)


def detail(client: Caller, booking: Booking) -> Any:
    response = client.get(f"{SCHEDULING}/bookings/{booking.id}")
    assert response.status_code == 200, response.content
    answer = response.json()
    assert answer.keys() == {"success", "booking"}
    return answer["booking"]


# initiate-booking


def test_initiate_answers_what_the_contract_says(ann: Caller):
    session_type = offer()
    before = timezone.now()
    response = initiate(ann, session_type)
    assert response.status_code == 200
    answer = response.json()
    assert answer.keys() == {"success", "bookingFlowId", "calendlyUrl", "sessionType", "expiresAt"}
    assert answer["success"] is True
    assert re.fullmatch("bf_[0-9A-Z]{26}", answer["bookingFlowId"])
    assert answer["sessionType"] == {
        "id": session_type.id,
        "name": "Consultation",
        "description": "An hour on your plan.",
        "duration": 60,
        "price": 120,
        "currency": "USD",
    }
    assert UTC_TIME.fullmatch(answer["expiresAt"])
    lasts = datetime.fromisoformat(answer["expiresAt"]) - before
    assert timedelta(hours=23, minutes=59) < lasts < timedelta(hours=24, minutes=1)


@pytest.mark.parametrize(("price_minor", "currency", "written"), EXACT)
def test_a_price_is_a_number_with_the_digits_of_its_currency(ann: Caller, price_minor, currency, written):
    session_type = offer(price_minor, currency)
    flow = begun(ann, session_type)
    booking = heard(flow)
    said = f'"price":{written},"currency":"{currency}"'.encode()
    for response in (
        initiate(ann, session_type),
        ann.get(f"{SCHEDULING}/session-types"),
        ann.get(f"{SCHEDULING}/session-types/{session_type.id}"),
        ann.get(f"{SCHEDULING}/bookings/{booking.id}"),
        ann.get(f"{SCHEDULING}/calendly/booking-status/{booking.id}"),
    ):
        assert said in response.content


def test_the_link_carries_the_flow_and_whatever_the_client_wants_to_smuggle_in_stays_a_value(ann: Caller):
    session_type = offer()
    SessionType.objects.update(scheduling_url="https://calendly.com/bo/consultation?hide_gdpr_banner=1#top")
    utm = {"source": "a&utm_content=bf_OTHER&x=1", "medium": "b#c", "campaign": "d\r\nLocation: https://evil"}
    answer = initiate(ann, session_type, utmParams=utm).json()
    url = urlsplit(answer["calendlyUrl"])
    assert (url.scheme, url.netloc, url.path, url.fragment) == ("https", "calendly.com", "/bo/consultation", "")
    assert parse_qs(url.query, strict_parsing=True) == {
        "hide_gdpr_banner": ["1"],
        "utm_source": [utm["source"]],
        "utm_medium": [utm["medium"]],
        "utm_campaign": [utm["campaign"]],
        "utm_content": [answer["bookingFlowId"]],
        "email": ["ann@example.com"],
    }
    assert answer["calendlyUrl"].isprintable()


def test_a_session_type_that_is_unknown_or_off_is_not_found(ann: Caller):
    off = offer()
    SessionType.objects.filter(pk=off.id).update(active=False)
    with nothing_written():
        unknown = initiate(ann, SessionType(id="st_NOBODY", builder_id="bp_NOBODY"))
        assert_refused(unknown, 404)
        assert unknown.json()["error"]["code"] == "NOT_FOUND"
        assert_refused(initiate(ann, off), 404)
        assert_refused(ann.get(f"{SCHEDULING}/session-types/{off.id}"), 404)
    assert ann.get(f"{SCHEDULING}/session-types").json()["results"] == []


def test_a_builder_of_another_session_type_is_refused(ann: Caller):
    session_type, other = offer(), offer()
    with nothing_written():
        assert_refused(initiate(ann, session_type, builderProfileId=other.builder_id), 400)


def test_nobody_but_the_back_end_begins_for_another_client(ann: Caller):
    session_type = offer()
    bob = begun(caller("bob@example.com"), session_type).client
    assert bob
    with nothing_written():
        known = initiate(ann, session_type, clientId=bob.id)
        unknown = initiate(ann, session_type, clientId="cl_NOBODY")
        assert_refused(known, 403)
        assert_refused(unknown, 403)
        assert known.json()["error"]["code"] == unknown.json()["error"]["code"] == "FORBIDDEN"


def test_a_client_may_name_itself(ann: Caller):
    session_type = offer()
    own = begun(ann, session_type).client_id
    flow_id = initiate(ann, session_type, clientId=own).json()["bookingFlowId"]
    assert BookingFlow.objects.get(pk=flow_id).client_id == own


def test_the_back_end_begins_for_a_client_that_was_not_seen_before():
    back_end, session_type = caller("shop@example.com", back_end=True), offer()
    first, second = (initiate(back_end, session_type, clientId="customer:42").json()["bookingFlowId"] for _ in range(2))
    flows = BookingFlow.objects.filter(pk__in=[first, second])
    assert {flow.client_id for flow in flows} == {"customer:42"}
    assert len(flows) == 2


def test_a_refused_request_of_the_back_end_makes_no_client():
    back_end, session_type = caller("shop@example.com", back_end=True), offer()
    with nothing_written():
        assert_refused(initiate(back_end, SessionType(id="st_NO", builder_id="bp_NO"), clientId="customer:42"), 404)
        assert_refused(initiate(back_end, session_type, clientId="customer:42", builderProfileId="bp_NO"), 400)


def test_a_client_with_the_longest_names_that_django_takes_may_begin(ann: Caller):
    assert ann.user
    ann.user.first_name, ann.user.last_name = "A" * 150, "B" * 150
    ann.user.save()
    assert initiate(ann, offer()).status_code == 200


# store-event


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


# booking-status


def test_booking_status_answers_what_the_contract_says(ann: Caller):
    session_type = offer()
    booking = heard(begun(ann, session_type))
    response = ann.get(f"{SCHEDULING}/calendly/booking-status/{booking.id}")
    assert response.status_code == 200
    answer = response.json()
    assert answer.keys() == {
        *("success", "bookingId", "status", "paymentStatus", "calendlyStatus", "scheduledTime", "sessionType"),
        "lastUpdated",
    }
    assert answer["sessionType"].keys() == OFFER_KEYS
    told = (answer["bookingId"], answer["status"], answer["paymentStatus"], answer["calendlyStatus"])
    assert told == (booking.id, "PENDING", "UNPAID", "ACTIVE")
    assert UTC_TIME.fullmatch(answer["lastUpdated"])
    assert UTC_TIME.fullmatch(answer["scheduledTime"])

    opened(booking)
    assert ann.get(f"{SCHEDULING}/calendly/booking-status/{booking.id}").json()["paymentStatus"] == "PENDING"
    paid(booking)
    answer = ann.get(f"{SCHEDULING}/calendly/booking-status/{booking.id}").json()
    assert (answer["status"], answer["paymentStatus"]) == ("CONFIRMED", "PAID")


# the Booking of contract section 3.1


def test_a_new_booking_has_exactly_what_is_known(ann: Caller):
    flow = begun(ann, offer())
    booking = heard(flow, "INV-1")
    told = detail(ann, booking)
    assert told.keys() == BOOKING_KEYS
    assert told["id"] == booking.id
    assert told["clientId"] == flow.client_id
    assert (told["duration"], told["price"], told["currency"]) == (60, 120, "USD")
    assert told["calendlyEventId"] == "EV-INV-1"
    assert told["calendlyEventUri"] == f"{CALENDLY}/scheduled_events/EV-INV-1"
    assert told["calendlyInviteeUri"] == f"{CALENDLY}/scheduled_events/EV-INV-1/invitees/INV-1"
    assert (told["rescheduledFrom"], told["rescheduledTo"]) == (None, None)
    assert (told["disputed"], told["cancellationPending"]) == (False, False)
    assert told["payUrl"] == f"http://testserver/pay/{booking.id}"
    for moment in ("scheduledTime", "createdAt", "updatedAt", "holdExpiresAt"):
        assert UTC_TIME.fullmatch(told[moment])
    assert "secret plan" not in json.dumps(told)


def test_a_paid_cancelled_and_refunded_booking_has_everything(ann: Caller):
    flow = begun(ann, offer())
    booking = heard(flow, "INV-1")
    opened(booking)
    paid(booking)
    told = detail(ann, booking)
    assert told.keys() == BOOKING_KEYS | {"stripeSessionId", "stripePaymentIntentId"}
    assert (told["stripeSessionId"], told["stripePaymentIntentId"]) == ("cs_test_1", "pi_1")
    assert (told["status"], told["paymentStatus"], told["payUrl"]) == ("CONFIRMED", "PAID", None)

    heard(flow, "INV-1", cancellation=cancelled())
    refunded(booking, 4_500, refund_id="re_1")
    refunded(booking, 7_500, refund_id="re_2")
    told = detail(ann, booking)
    assert told.keys() == BOOKING_KEYS | UNKNOWN_UNTIL
    assert (told["status"], told["paymentStatus"]) == ("CANCELLED", "REFUNDED")
    assert (told["stripeRefundId"], told["refundAmount"]) == ("re_2", 120)
    assert (told["cancelledBy"], told["cancelReason"]) == ("client", "I am ill")
    assert UTC_TIME.fullmatch(told["cancelledAt"])


def test_a_reschedule_is_told_at_both_ends(ann: Caller):
    flow = begun(ann, offer())
    old = heard(flow, "INV-1", cancellation=cancelled(), rescheduled=True, new_invitee_id="INV-2", new_event_id="EV-2")
    new = heard(flow, "INV-2", old_invitee_id="INV-1", old_event_id="EV-INV-1")
    assert (detail(ann, old)["status"], detail(ann, old)["rescheduledTo"]) == ("RESCHEDULED", new.id)
    assert (detail(ann, new)["status"], detail(ann, new)["rescheduledFrom"]) == ("PENDING", old.id)
    assert not detail(ann, old).keys() & {"cancelledAt", "cancelledBy", "cancelReason"}


@pytest.mark.parametrize("path", ["bookings", "session-types"])
def test_a_list_goes_on_from_page_to_page_and_back(ann: Caller, path):
    flows = [begun(ann, offer()) for _ in range(53)]
    for number, flow in enumerate(flows):
        heard(flow, f"INV-{number}")
    first = ann.get(f"{SCHEDULING}/{path}")
    assert first.status_code == 200
    page = first.json()
    assert page.keys() == {"success", "results", "next", "previous"}
    assert (page["success"], len(page["results"]), page["previous"]) == (True, 50, None)
    rest = ann.http.get(page["next"]).json()
    assert (len(rest["results"]), rest["next"]) == (3, None)
    ids = [one["id"] for one in page["results"] + rest["results"]]
    assert len(set(ids)) == 53
    assert ann.http.get(rest["previous"]).json()["results"] == page["results"]
    keys = BOOKING_KEYS if path == "bookings" else OFFER_KEYS | {"builderProfileId"}
    assert all(one.keys() == keys for one in page["results"])


def test_a_list_is_filtered_by_status(ann: Caller):
    session_type = offer()
    heard(begun(ann, session_type), "INV-1")
    gone = heard(begun(ann, session_type), "INV-2", cancellation=cancelled())
    results = ann.get(f"{SCHEDULING}/bookings", status="CANCELLED").json()["results"]
    assert [one["id"] for one in results] == [gone.id]
    assert len(ann.get(f"{SCHEDULING}/bookings", status="").json()["results"]) == 2
    for status in BookingStatus:
        assert ann.get(f"{SCHEDULING}/bookings", status=status).status_code == 200


def test_the_statuses_are_those_of_the_contract():
    assert set(BookingStatus) == {"PENDING", "CONFIRMED", "CANCELLED", "RESCHEDULED", "COMPLETED"}
    assert set(PaymentStatus) == {"UNPAID", "PENDING", "PAID", "FAILED", "REFUNDED", "PARTIALLY_REFUNDED"}
