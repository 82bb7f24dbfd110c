"""Reading back while providers fail, limit us, have forgotten, or hold more than a page."""

import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django.fixtures import Settings

from api.calling import MOST_RESETS
from bookings import calendly_api
from bookings.models import Booking, BookingFlow
from operations import tasks
from operations.tests.rereading import AGREED, LEFT, MENDED, heard, later, nothing_changes, run
from payments import stripe_api
from payments.models import Checkout, Payment
from webhooks.tests.world import PRICE, World, open_attention

NOBODY = "http://127.0.0.1:9"
"""Where nobody listens."""


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that calls have waited, without waiting them."""
    waited: list[float] = []
    clock = SimpleNamespace(sleep=waited.append, monotonic=time.monotonic)
    monkeypatch.setattr("api.calling.time", clock)
    return waited


@pytest.mark.parametrize("away", ["CALENDLY_API_BASE", "STRIPE_API_BASE"])
def test_a_provider_that_is_away_is_left_for_the_next_run_and_the_other_is_read(
    world: World, settings: Settings, waits: list[float], away: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, payment_id = heard(world)
    world.stripe.room("refund", payment_intent=payment_id, amount=5_000)
    world.calendly.room("cancel", invitee=Booking.objects.get().invitee_uri, by="host")
    base = getattr(settings, away)

    setattr(settings, away, NOBODY)
    assert run() == LEFT
    assert "; not everything was read" in capsys.readouterr().out
    heard_of = (Booking.objects.get().status, BookingFlow.objects.get().payment_status)
    assert heard_of == (("CANCELLED", "PAID") if away == "STRIPE_API_BASE" else ("CONFIRMED", "PARTIALLY_REFUNDED"))
    setattr(settings, away, base)
    assert run() == MENDED
    assert run() == AGREED


def test_while_both_are_away_nothing_changes(world: World, settings: Settings, waits: list[float]) -> None:
    heard(world)
    settings.CALENDLY_API_BASE = settings.STRIPE_API_BASE = NOBODY
    with nothing_changes():
        assert run() == LEFT


def test_a_token_that_is_not_known_ends_the_run(world: World, settings: Settings) -> None:
    heard(world)
    settings.CALENDLY_API_TOKEN = "wrong"
    with nothing_changes():
        assert run("reconcile_calendly") == LEFT


def test_rate_limits_are_waited_out(world: World, waits: list[float]) -> None:
    flow_id = world.person().initiate()
    world.book(flow_id)
    paths = ("/scheduled_events", "/scheduled_events", "/scheduled_events/*/invitees")
    world.calendly.room("faults", next=[{"method": "GET", "path": path, "do": "rate_limit"} for path in paths])
    world.stripe.breaks("GET", "/v1/refunds", "rate_limit")

    assert run() == MENDED
    assert waits[-len(paths) :] == [60.0] * len(paths)  # Calendly's reset
    assert len(waits) == len(paths) + 1
    assert Booking.objects.get().flow_id == flow_id


def test_a_rate_limit_without_end_is_left_for_the_next_run(world: World, waits: list[float]) -> None:
    world.calendly.breaks("GET", "/scheduled_events", *["rate_limit"] * (MOST_RESETS + 1))
    assert run("reconcile_calendly") == LEFT
    assert waits == [60.0] * MOST_RESETS


def test_one_event_that_cannot_be_read_stops_no_other(world: World, waits: list[float]) -> None:
    first, second = (world.person(email).initiate() for email in ("a@example.com", "b@example.com"))
    unread = world.book(first, email="a@example.com")["event_uri"].rpartition("/")[2]
    world.book(second, email="b@example.com", start_time=(timezone.now() + timedelta(days=12)).isoformat())
    world.calendly.breaks("GET", f"/scheduled_events/{unread}/invitees", *["garble"] * calendly_api.TRIES)

    assert run() == LEFT
    assert list(Booking.objects.values_list("flow_id", flat=True)) == [second]
    assert run() == MENDED
    assert Booking.objects.filter(flow_id=first).exists()


def test_what_calendly_does_not_know_any_more_is_noted_and_ends_nothing(world: World) -> None:
    flow_id, _ = heard(world)
    world.calendly.room("reset")

    assert run() == LEFT
    world.work()
    booking = Booking.objects.get()
    assert (booking.status, booking.calendly_status, booking.flow.decision_row) == ("CONFIRMED", "ACTIVE", "")
    assert open_attention(flow_id) == ["EVENT_GONE"]
    assert world.money() == {"captured": PRICE, "refunded": 0}
    with nothing_changes():
        assert run() == AGREED


def test_what_stripe_does_not_show_changes_nothing(world: World) -> None:
    heard(world)
    world.walk_to_payment(world.person("open@example.com"))
    world.stripe.room("reset")
    with nothing_changes():
        assert run("reconcile_stripe") == LEFT  # the open checkout, which was read by its id


def test_an_event_outside_the_window_changes_nothing(world: World) -> None:
    heard(world)
    world.calendly.room("cancel", invitee=Booking.objects.get().invitee_uri, by="host")
    with nothing_changes():
        assert run(until=timezone.now() + timedelta(days=5)) == AGREED
    assert run(until=timezone.now() + timedelta(days=15)) == MENDED


def test_an_open_checkout_from_before_the_window_is_read_by_its_id(world: World) -> None:
    flow_id, _, session_id = world.walk_to_payment(world.person())
    world.pay(session_id)
    assert run("reconcile_stripe", since=later()) == MENDED
    assert BookingFlow.objects.get(pk=flow_id).payment_status == "PAID"


def test_money_that_names_an_unknown_flow_is_left_for_a_person(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.stripe.room("payment", amount=700, currency="usd", metadata={"flowId": "bf_LOST"})
    assert run() == LEFT
    assert "names the flow bf_LOST, which is not known" in capsys.readouterr().out
    assert not Payment.objects.exists()


def test_money_that_names_a_booking_of_ours_is_recorded_as_unmatched(world: World) -> None:
    flow_id, booking_id, _ = world.walk_to_payment(world.person())
    world.stripe.room("payment", amount=700, currency="usd", metadata={"bookingId": booking_id})
    assert run() == MENDED
    assert open_attention(flow_id) == ["UNMATCHED_PAYMENT"]


def test_lists_are_read_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendly_api, "LARGEST_PAGE", 2)
    monkeypatch.setattr(stripe_api, "PAGE", 2)
    emails = [f"{number}@example.com" for number in range(5)]
    for day, email in enumerate(emails):
        start = (timezone.now() + timedelta(days=10 + day)).isoformat()
        world.book(world.person(email).initiate(), email=email, start_time=start)
    assert run() == MENDED
    assert sorted(Booking.objects.values_list("email", flat=True)) == emails
    world.work()
    for checkout in Checkout.objects.all():
        world.pay(checkout.session_id)
    assert run() == MENDED
    assert set(BookingFlow.objects.values_list("payment_status", flat=True)) == {"PAID"}
    assert run() == AGREED


def test_only_what_says_something_new_costs_a_further_call(world: World) -> None:
    heard(world)
    world.calendly.breaks("GET", "/scheduled_events/*", "fail_before")
    world.stripe.breaks("GET", "/v1/*/*", "fail_before")
    assert run() == AGREED
    assert len(world.calendly.look("faults")["next"]) == 1  # it is still waiting for such a call


def test_the_polls_hear_of_a_booking_and_its_payment_and_the_night_of_all(world: World) -> None:
    flow_id = world.person().initiate()
    world.book(flow_id)
    tasks.poll_stripe(timestamp=0)
    assert not Booking.objects.exists()
    tasks.poll_calendly(timestamp=0)
    assert Booking.objects.get().flow_id == flow_id
    world.work()
    world.pay(Checkout.objects.get().session_id)
    tasks.poll_calendly(timestamp=0)
    assert BookingFlow.objects.get().payment_status == "PENDING"
    tasks.poll_stripe(timestamp=0)
    assert BookingFlow.objects.get().payment_status == "PAID"

    world.stripe.room("refund", payment_intent=Payment.objects.get().pk)
    world.calendly.room("cancel", invitee=Booking.objects.get().invitee_uri)
    tasks.reconcile(timestamp=0)
    assert BookingFlow.objects.get().payment_status == "REFUNDED"
    assert Booking.objects.get().status == "CANCELLED"


@pytest.mark.parametrize("name", ["poll_calendly", "poll_stripe", "reconcile"])
def test_periodic_reading_is_queued_once_and_blocks_nothing(name: str) -> None:
    task = getattr(tasks, name)
    assert (task.queueing_lock, task.lock) == (f"operations.{name}", None)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"booking": "bk_UNKNOWN"}, "There is no booking or flow bk_UNKNOWN."),
        ({"booking": "bk_1", "since": later()}, "leave out --since"),
        ({"since": later(), "until": timezone.now()}, "--until must be later"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        call_command("reconcile", **options)


def test_times_are_iso_dates(world: World) -> None:
    call_command("reconcile", "--since", "2026-11-01", "--until", "2026-11-02T10:00:00+02:00")
    with pytest.raises(CommandError, match="not an ISO date"):
        call_command("reconcile", "--since", "yesterday")
