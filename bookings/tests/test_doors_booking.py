"""booking-status, the Booking of contract section 3.1, and lists: to the letter of their JSON (DESIGN 5, 6.4, 6.5)."""

import json
import re
from typing import Any

import pytest

from bookings.facts import BookingStatus, PaymentStatus
from bookings.models import Booking, SessionType
from bookings.tests.marketplace import (
    CALENDLY,
    Caller,
    begun,
    caller,
    cancelled,
    heard,
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
