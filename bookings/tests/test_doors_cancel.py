"""cancel-booking and cancellation-quote (contract 1.1; DESIGN 6.4, 6.9), with both providers at the wire."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.utils import timezone

from bookings import money
from bookings.facts import IntentKind
from bookings.models import Booking, BookingFlow, Intent
from bookings.tests.hostile import PATH_IDS, assert_refused, nothing_written, spoiled, without_request_id
from bookings.tests.marketplace import Caller, begun, caller, cancelled, heard, offer, opened, paid, refunded
from payments.tests.rows import cancelled_json, event_json, refund_json
from payments.tests.wire import Failure, Wire

pytestmark = pytest.mark.django_db

CANCEL = "/api/scheduling/cancel-booking"
UNKNOWN = "bk_" + "0" * 26
DAYS, HOURS, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
PRICES = [("USD", 12_001), ("JPY", 8_001), ("KWD", 12_010)]
"""Of two, no and three decimals, and not to be halved without rounding."""


def quote_of(booking_id: str) -> str:
    return f"/api/scheduling/bookings/{booking_id}/cancellation-quote"


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Both providers, doing what they are asked."""
    with Wire() as wire:
        wire.answers("POST /v1/refunds", lambda: refund_as_asked(wire))
        yield wire


def refund_as_asked(wire: Wire, status: str = "succeeded") -> Any:
    asked = wire.calls[-1].body
    intent = Intent.objects.get(pk=asked["metadata[intent]"])
    names = {"currency": intent.currency.lower(), "payment_intent": asked["payment_intent"], "id": f"re_{intent.pk}"}
    return refund_json(int(asked["amount"]), status, intent, **names)


@dataclass
class Sale:
    """A booking that was paid for."""

    client: Caller
    booking: Booking

    def quote(self) -> Any:
        """The quote, its numbers with all the digits that were written."""
        answer = self.client.get(quote_of(self.booking.id))
        assert answer.status_code == 200, answer.content
        return json.loads(answer.content, parse_float=Decimal, parse_int=Decimal)

    def cancel(self, **more: Any) -> Any:
        return self.client.post(CANCEL, {"bookingId": self.booking.id, **more})

    def flow(self) -> BookingFlow:
        return BookingFlow.objects.get(pk=self.booking.flow_id)

    def refund_minor(self) -> int:
        """What is sent back, in minor units."""
        return sum(Intent.objects.filter(kind=IntentKind.REFUND).values_list("amount_minor", flat=True))


@pytest.fixture
def sold(wire: Wire) -> Callable[..., Sale]:
    def sell(start: datetime | None = None, currency: str = "USD", price_minor: int = 12_000) -> Sale:
        client = caller("ann@example.com")
        booking = heard(begun(client, offer(price_minor, currency)), "ANN", start=start)
        opened(booking)
        paid(booking)
        event = "/scheduled_events/EV-ANN"
        wire.answers(f"GET {event}", event_json("ANN"))
        wire.answers(f"POST {event}/cancellation", {})
        wire.answers(f"GET {event}/invitees/ANN", lambda: cancelled_json("ANN", timezone.now(), by="host"))
        return Sale(client, booking)

    return sell


Sold = Callable[..., Sale]

# What is answered.


def test_cancel_answers_with_the_contracts_keys(sold: Sold):
    sale = sold()

    answer = sale.cancel(reason="Ill", refundRequested=True)

    refund_id = f"re_{Intent.objects.get(kind=IntentKind.REFUND).pk}"
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "bookingId": sale.booking.id,
        "status": "CANCELLED",
        "refundStatus": "COMPLETED",
        "refundId": refund_id,
    }
    told = sale.client.get(f"/api/scheduling/bookings/{sale.booking.id}").json()["booking"]
    assert (told["cancelledBy"], told["cancelReason"], told["refundAmount"]) == ("client", "Ill", 120)
    assert told["stripeRefundId"] == refund_id
    assert told["cancelledAt"].endswith("Z")


def test_an_unpaid_booking_has_nothing_to_refund_and_every_key(wire: Wire):
    client = caller("ann@example.com")
    booking = heard(begun(client, offer(0)), "ANN")
    event = "/scheduled_events/EV-ANN"
    wire.answers(f"GET {event}", event_json("ANN", status="canceled"))
    wire.answers(f"GET {event}/invitees/ANN", cancelled_json("ANN", timezone.now(), by="host"))

    answer = client.post(CANCEL, {"bookingId": booking.id}).json()

    assert answer == {
        "success": True,
        "bookingId": booking.id,
        "status": "CANCELLED",
        "refundStatus": "NOT_APPLICABLE",
        "refundId": None,
    }


def test_the_quote_says_what_comes_back_until_when_and_to_whom(sold: Sold):
    start = datetime(2027, 1, 20, 9, tzinfo=UTC)
    with time_machine.travel(start - 10 * DAYS, tick=False):
        sale = sold(start)

        assert sale.quote() == {
            "success": True,
            "bookingId": sale.booking.id,
            "refundAmount": 120,
            "alreadyRefunded": 0,
            "currency": "USD",
            "percent": 100,
            "tier": 24,
            "validUntil": "2027-01-19T09:00:00Z",
            "requestedBy": "client",
        }
    with time_machine.travel(start - 6 * HOURS, tick=False):
        told = sale.quote()
    assert (told["refundAmount"], told["percent"], told["tier"]) == (0, 0, None)
    assert told["validUntil"] == "2027-01-20T09:00:00Z"


def test_asking_what_would_come_back_ends_nothing(sold: Sold, wire: Wire):
    sale = sold()
    before = sale.flow().updated_at

    sale.quote()

    flow = sale.flow()
    assert (flow.decision_row, flow.cancel_asked_at, flow.updated_at) == ("", None, before)
    assert (wire.calls, sale.refund_minor()) == ([], 0)


# The quote and the refund agree.


@pytest.mark.parametrize(("currency", "price_minor"), PRICES)
@pytest.mark.parametrize(
    ("notice", "percent"),
    [
        *((24 * HOURS, 100), (24 * HOURS - SECOND, 50), (24 * HOURS + SECOND, 100)),
        *((12 * HOURS, 50), (12 * HOURS - SECOND, 0), (SECOND, 0)),
    ],
)
def test_quote_and_refund_agree_to_the_minor_unit_at_the_second(
    sold: Sold, wire: Wire, currency: str, price_minor: int, notice: timedelta, percent: int
):
    start = datetime(2027, 1, 20, 9, tzinfo=UTC)
    with time_machine.travel(start - 10 * DAYS, tick=False) as clock:
        sale = sold(start, currency, price_minor)
        clock.move_to(start - notice)
        told = sale.quote()
        assert sale.cancel().status_code == 200

    digits = {"USD": 2, "JPY": 0, "KWD": 3}[currency]
    assert told["percent"] == percent
    assert told["refundAmount"].scaleb(digits) == sale.refund_minor()
    exact = Decimal(price_minor * percent) / 100
    assert abs(sale.refund_minor() - exact) < money.smallest_step(currency)
    assert sale.refund_minor() % money.smallest_step(currency) == 0, "Stripe would refuse it"
    sent = [int(call.body["amount"]) for call in wire.made("POST /v1/refunds")]
    assert sent == ([sale.refund_minor()] if percent else [])
    assert sale.flow().decision_percent == percent


@pytest.mark.parametrize(
    ("start", "same_time_the_day_before", "percent"),
    [
        # In spring the night is an hour short, in autumn an hour long. Notice is counted in hours, not in days.
        (datetime(2027, 3, 28, 9, tzinfo=ZoneInfo("Europe/Berlin")), timedelta(hours=23), 50),
        (datetime(2027, 10, 31, 9, tzinfo=ZoneInfo("Europe/Berlin")), timedelta(hours=25), 100),
    ],
)
def test_across_a_clock_change_notice_is_counted_in_hours(
    sold: Sold, start: datetime, same_time_the_day_before: timedelta, percent: int
):
    start_utc = start.astimezone(UTC)
    day_before = (start - DAYS).astimezone(UTC)  # of the wall clock
    assert start_utc - day_before == same_time_the_day_before
    with time_machine.travel(start_utc - 10 * DAYS, tick=False) as clock:
        sale = sold(start_utc)
        assert sale.quote()["validUntil"] == f"{start_utc - 24 * HOURS:%Y-%m-%dT%H:%M:%SZ}"
        clock.move_to(day_before)
        told = sale.quote()
        assert sale.cancel().status_code == 200

    assert told["percent"] == percent
    assert told["refundAmount"] * 100 == sale.refund_minor() == 12_000 * percent // 100


@pytest.mark.parametrize("notice", [10 * DAYS, 18 * HOURS])
def test_a_quote_holds_until_the_moment_that_it_names(sold: Sold, notice: timedelta):
    start = datetime(2027, 1, 20, 9, tzinfo=UTC)
    with time_machine.travel(start - notice, tick=False) as clock:
        sale = sold(start)
        told = sale.quote()
        ends = datetime.fromisoformat(told["validUntil"])
        clock.move_to(ends)
        assert sale.quote() == told
        clock.shift(timedelta.resolution)
        assert sale.quote()["percent"] < told["percent"]


def test_the_quote_takes_off_what_went_back_already(sold: Sold):
    start = datetime(2027, 1, 20, 9, tzinfo=UTC)
    with time_machine.travel(start - 18 * HOURS, tick=False):
        sale = sold(start)
        refunded(sale.booking, 3_600)

        told = sale.quote()
        sale.cancel()

    assert (told["refundAmount"], told["alreadyRefunded"], told["percent"]) == (24, 36, 50)
    assert sale.refund_minor() == 2_400


def test_after_the_end_the_quote_says_what_came_back(sold: Sold):
    sale = sold()
    sale.cancel()

    told = sale.quote()

    assert (told["refundAmount"], told["alreadyRefunded"], told["percent"]) == (0, 120, 100)
    assert (told["validUntil"], told["requestedBy"]) == (None, "client")


# Refusals.


def test_r34_after_the_start_both_say_why(sold: Sold, wire: Wire):
    start = datetime(2027, 1, 20, 9, tzinfo=UTC)
    with time_machine.travel(start - 10 * DAYS, tick=False) as clock:
        sale = sold(start)
        clock.move_to(start)
        for answer in (sale.cancel(), sale.client.get(quote_of(sale.booking.id))):
            assert_refused(answer, 409)
            assert answer.json()["error"]["code"] == "BOOKING_CONFLICT"
            assert answer.json()["error"]["details"]["reason"] == "started"
    assert wire.calls == []
    assert sale.flow().decision_row == ""


def test_a_rescheduled_booking_names_the_one_after_it(sold: Sold, wire: Wire):
    sale = sold()
    flow = sale.flow()
    moved = {"rescheduled": True, "new_invitee_id": "NEW", "new_event_id": "EV-NEW"}
    heard(flow, "ANN", cancellation=cancelled(), **moved)
    after = heard(flow, "NEW", old_invitee_id="ANN", old_event_id="EV-ANN")

    for answer in (sale.cancel(), sale.client.get(quote_of(sale.booking.id))):
        assert_refused(answer, 409)
        assert answer.json()["error"]["code"] == "BOOKING_CONFLICT"
        details = answer.json()["error"]["details"]
        assert (details["reason"], details["rescheduledTo"]) == ("rescheduled", after.id)
    assert wire.calls == []
    assert sale.flow().decision_row == ""


def test_r30_a_repeated_cancel_is_the_present_state_and_no_second_effect(sold: Sold, wire: Wire):
    sale = sold()
    first = sale.cancel()
    with nothing_written():
        again = sale.cancel(reason="Other", refundRequested=False)

    assert (again.status_code, again.json()) == (200, first.json())
    assert len(wire.made("POST /v1/refunds")) == 1
    assert len(wire.made("POST /scheduled_events/EV-ANN/cancellation")) == 1


@pytest.mark.parametrize("how", ["refused", "failed"])
def test_while_the_refund_has_failed_a_repeated_cancel_says_so(sold: Sold, wire: Wire, how: str):
    sale = sold()
    if how == "refused":
        wire.answers("POST /v1/refunds", Failure(400, "Insufficient funds.", "balance_insufficient"))
    else:
        wire.answers("POST /v1/refunds", lambda: refund_as_asked(wire, "failed"))

    first = sale.cancel()
    again = sale.cancel()

    assert (first.status_code, first.json()["refundStatus"]) == (200, "FAILED")
    assert_refused(again, 502)
    assert again.json()["error"]["code"] == "REFUND_FAILED"
    assert len(wire.made("POST /v1/refunds")) == 1


# Strangers and the hostile.


@pytest.mark.parametrize(
    "ask",
    [
        lambda one, booking_id: one.post(CANCEL, {"bookingId": booking_id}),
        lambda one, booking_id: one.get(quote_of(booking_id)),
    ],
    ids=["cancel-booking", "cancellation-quote"],
)
@pytest.mark.parametrize("ended", [True, False])
def test_somebody_elses_booking_is_answered_as_an_unknown_one(
    sold: Sold, wire: Wire, ask: Callable[[Caller, str], Any], ended: bool
):
    sale = sold()
    if ended:
        sale.cancel()
    calls, mallory = len(wire.calls), caller("mallory@example.com")
    mallory.get("/api/scheduling/bookings")
    with nothing_written():
        foreign, unknown = ask(mallory, sale.booking.id), ask(mallory, UNKNOWN)

    assert_refused(foreign, 404)
    assert foreign.json()["error"]["code"] == "BOOKING_NOT_FOUND"
    assert without_request_id(foreign) == without_request_id(unknown)
    assert len(wire.calls) == calls


def test_the_back_end_cancels_for_a_client(sold: Sold):
    sale = sold()
    back_end = caller("shop@example.com", back_end=True)

    answer = back_end.post(CANCEL, {"bookingId": sale.booking.id})

    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
    assert sale.flow().decision_by == "client"


def test_one_wrong_field_cancels_nothing(sold: Sold, wire: Wire):
    sale = sold()
    body = {"bookingId": sale.booking.id, "reason": "Ill", "refundRequested": True}
    with nothing_written():
        for about, wrong in spoiled(body, {"bookingId"}):
            assert_refused(sale.client.post(CANCEL, wrong), 400, about=about)
        for wrong_flag in ("true", "yes", 0, 1, None):
            assert_refused(sale.client.post(CANCEL, {**body, "refundRequested": wrong_flag}), 400)
        assert_refused(sale.client.post(CANCEL, {"reason": "Ill"}), 400)
    assert wire.calls == []


def test_a_quote_of_what_is_no_id_is_not_found(sold: Sold):
    sale = sold()
    with nothing_written():
        for an_id in PATH_IDS:
            assert_refused(sale.client.get(quote_of(an_id)), 404, about=an_id)


def test_a_quote_is_only_read(sold: Sold):
    sale = sold()
    with nothing_written():
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
            answer = sale.client.send(method, quote_of(sale.booking.id), b"{}")
            assert_refused(answer, 405, about=method)
            assert "GET" in answer["Allow"]
