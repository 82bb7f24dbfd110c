"""What the passing of time does: LIFECYCLE D4, R5, R6, R26, R40 and R41, no-shows and completion."""

import time
from datetime import datetime, timedelta
from itertools import permutations

import pytest
import time_machine
from django.conf import settings as configured
from django.test import Client as Browser
from django.utils import timezone
from pytest_django.fixtures import Settings

from bookings.facts import IntentKind
from bookings.models import Booking, BookingFlow, Intent, SessionType, TimelineEntry
from payments.models import Checkout, Refund
from payments.tasks import settle_due_flows
from sandbox.courier import signature
from webhooks.models import Delivery, State
from webhooks.tests.purchases import DAYS, HOURS, MINUTES, NOWHERE, Purchase, begun, bought
from webhooks.tests.world import INTRO, PRICE, World, open_attention

# D4: nobody paid in time.


def test_d4_a_hold_that_lapses_frees_the_slot_at_calendly(world: World) -> None:
    purchase = begun(world)
    began = timezone.now()
    with time_machine.travel(began + 29 * MINUTES):
        world.hear()
        assert purchase.told() == ("PENDING", "PENDING", "ACTIVE")
    with time_machine.travel(began + 31 * MINUTES):
        world.hear()

        assert purchase.told() == ("CANCELLED", "UNPAID", "CANCELLED")
        assert (purchase.at_calendly(), purchase.at_stripe()) == (["canceled"], ["expired"])
        flow = purchase.flow()
        assert (flow.decision_row, flow.decision_by, flow.cancel_asked_at) == ("D4", "system", None)
        assert purchase.client.checkout(purchase.booking().id).status_code == 410
        assert purchase.cancels() == ("CANCELLED", "NOT_APPLICABLE")
    assert open_attention() == []


@pytest.mark.parametrize("away", ["CALENDLY_API_BASE", "STRIPE_API_BASE"])
def test_d4_waits_for_stripe_and_does_not_wait_for_calendly(world: World, settings: Settings, away: str) -> None:
    """As long as the checkout may be paid the flow does not end; once it ended Calendly hears of it when it can."""
    purchase = begun(world)
    base = getattr(settings, away)
    setattr(settings, away, NOWHERE)
    began = timezone.now()
    with time_machine.travel(began + 31 * MINUTES):
        world.work()
        ended = away == "CALENDLY_API_BASE"
        assert bool(purchase.flow().decision_row) == ended
        assert purchase.told()[0] == ("CANCELLED" if ended else "PENDING")
        assert purchase.booking().cancellation_pending == ended
    setattr(settings, away, base)
    with time_machine.travel(began + 60 * MINUTES):
        world.hear()

        assert purchase.told() == ("CANCELLED", "UNPAID", "CANCELLED")
    assert (purchase.at_calendly(), purchase.at_stripe()) == (["canceled"], ["expired"])


def test_d4_is_counted_from_the_booking_and_ends_ten_minutes_before_the_start(world: World) -> None:
    purchase = begun(world, ahead=25 * MINUTES)
    began = timezone.now()
    with time_machine.travel(began + 14 * MINUTES):
        world.work()
        assert purchase.told()[0] == "PENDING"
    with time_machine.travel(began + 16 * MINUTES):
        world.hear()
        assert purchase.told()[0] == "CANCELLED"


# R5 and R6: late money, before and after the cancel was sent.


def test_r5_money_after_the_hold_keeps_the_slot_if_the_end_was_not_written(world: World) -> None:
    """Stripe has the money before our expiry reaches it, and refuses to expire."""
    purchase = begun(world)
    with time_machine.travel(timezone.now() + 31 * MINUTES):
        settle_due_flows()
        assert Intent.objects.filter(kind=IntentKind.EXPIRE_CHECKOUT).exists()
        purchase.pays()
        world.work()

        assert purchase.told() == ("CONFIRMED", "PAID", "ACTIVE")
        world.hear()
    assert purchase.at_calendly() == ["active"]
    assert world.money() == {"captured": PRICE, "refunded": 0}


@pytest.mark.parametrize("sent", [True, False])
def test_r6_money_after_the_end_goes_back_whether_the_cancel_was_sent_or_not(
    world: World, settings: Settings, sent: bool
) -> None:
    purchase = begun(world)
    intent = Checkout.objects.get().intent
    assert intent
    base = settings.CALENDLY_API_BASE
    with time_machine.travel(timezone.now() + 31 * MINUTES):
        settings.CALENDLY_API_BASE = base if sent else NOWHERE
        world.hear()
        assert purchase.told() == ("CANCELLED", "UNPAID", "CANCELLED" if sent else "ACTIVE")

        world.stripe.room("payment", amount=PRICE, currency="usd", metadata={"intent": intent.id})
        world.hear()
        assert purchase.told()[:2] == ("CANCELLED", "REFUNDED")

        settings.CALENDLY_API_BASE = base
        world.hear()
    assert purchase.at_calendly() == ["canceled"]
    assert world.money() == {"captured": PRICE, "refunded": PRICE}
    assert Refund.objects.count() == 1


# R26: clocks apart.


@pytest.mark.parametrize(
    ("provider", "header", "oldest"),
    [("stripe", "Stripe-Signature", 300), ("calendly", "Calendly-Webhook-Signature", 180)],
)
def test_r26_a_signature_may_be_so_old_and_so_far_ahead(world: World, provider: str, header: str, oldest: int) -> None:
    world.book()
    world.stripe.room("payment", amount=500, currency="usd")
    letter = next(one for one in world.mail() if one.provider == provider)
    secrets = {"calendly": configured.CALENDLY_WEBHOOK_SIGNING_KEYS, "stripe": configured.STRIPE_WEBHOOK_SECRETS}
    for seconds, taken in ((-oldest - 10, False), (70, False), (-oldest + 10, True), (50, True)):
        at = int(time.time()) + seconds
        signed = f"t={at},v1={signature(secrets[provider][0], at, letter.body)}"
        answer = Browser().post(
            f"/api/webhooks/{provider}", letter.body, content_type="application/json", headers={header: signed}
        )
        assert answer.status_code == (200 if taken else 400), seconds
        assert Delivery.objects.exists() == taken


@pytest.mark.parametrize("ahead_of_us", [-45, 45])
def test_r26_what_goes_back_is_reckoned_by_the_providers_own_clocks(world: World, ahead_of_us: int) -> None:
    """Both providers' clocks are off ours in the same way. We decide by what they say happened when."""
    for provider in (world.calendly, world.stripe):
        provider.room("clock", advance_seconds=ahead_of_us)
    now = timezone.now()
    purchase = begun(world, ahead=24 * HOURS + 30 * timedelta(seconds=1))
    purchase.pays()
    with time_machine.travel(now + 10 * timedelta(seconds=1)):
        purchase.is_cancelled_at_calendly()
        world.hear()

    # By Calendly's clock the notice was over 24 hours, or was not.
    percent = 100 if ahead_of_us < 0 else 50
    assert (purchase.flow().decision_row, purchase.flow().decision_percent) == ("D3", percent)
    assert world.money()["refunded"] == PRICE * percent // 100


# R40: booked straight on Calendly.


def direct(world: World, **more: str) -> Booking:
    """A booking that nobody began here, placed when the patience was over."""
    slot = world.book(**more)
    world.hear()
    assert not Booking.objects.exists()
    with time_machine.travel(timezone.now() + 3 * MINUTES):
        world.work()
    return Booking.objects.get(invitee_id=slot["invitee_id"])


@pytest.mark.parametrize("known", [True, False])
def test_r40_a_direct_booking_gets_a_flow_of_its_own_and_a_person(world: World, known: bool) -> None:
    if known:
        world.person().initiate(INTRO)  # makes the client
    booking = direct(world)

    flow = booking.flow
    assert (flow.direct, flow.hold_ends_at, booking.status) == (True, None, "PENDING")
    assert (flow.client.email if flow.client else None) == ("casey@example.com" if known else None)
    assert open_attention(flow.id) == ["DIRECT_BOOKING"]
    with time_machine.travel(timezone.now() + 5 * DAYS):
        world.hear()
    booking.refresh_from_db()
    assert (booking.status, booking.flow.decision_row) == ("PENDING", ""), "never cancelled by itself"
    assert [one["status"] for one in world.calendly.look("ledger")["scheduled_events"]] == ["active"]


def test_r40_a_known_client_may_pay_for_a_direct_booking(world: World) -> None:
    client = world.person()
    client.initiate(INTRO)
    booking = direct(world)
    purchase = Purchase(world, client, booking.flow_id, [{"invitee_id": booking.invitee_id}])
    assert client.checkout(booking.id).status_code == 200
    purchase.pays()
    world.hear()

    assert purchase.told() == ("CONFIRMED", "PAID", "ACTIVE")
    assert open_attention() == []


@pytest.mark.parametrize("why", ["not mapped", "before active since"])
def test_r40_what_was_booked_elsewhere_is_none_of_ours(world: World, why: str) -> None:
    if why == "not mapped":
        SessionType.objects.filter(name="1:1 Consultation").delete()
    else:
        SessionType.objects.update(active_since=timezone.now() + HOURS)
    world.book()
    world.hear()
    with time_machine.travel(timezone.now() + 3 * MINUTES):
        world.work()

    assert not Booking.objects.exists()
    assert not BookingFlow.objects.exists()
    assert open_attention() == []


def test_r40_cancelled_at_calendly_it_ends_without_a_call(world: World) -> None:
    slot = world.book()
    world.hear()
    with time_machine.travel(timezone.now() + 3 * MINUTES):
        world.work()
        world.calendly.room("cancel", invitee=slot["invitee_id"])
        world.hear()

    booking = Booking.objects.get()
    assert (booking.status, booking.flow.decision_row) == ("CANCELLED", "D3")
    assert world.money() == {"captured": 0, "refunded": 0}


# R41: nobody but the clock.


def at(moment: datetime | None) -> time_machine.travel:
    assert moment
    return time_machine.travel(moment)


def test_r41_a_session_starts_and_ends_by_the_clock(world: World) -> None:
    purchase = bought(world)
    booking = purchase.booking()
    with at(booking.start):
        assert settle_due_flows() == 1
        assert purchase.told() == ("CONFIRMED", "PAID", "ACTIVE")
    with at(booking.end):
        assert settle_due_flows() == 1
        assert purchase.told() == ("COMPLETED", "PAID", "ACTIVE")
        refused = purchase.asks_to_cancel()
        assert refused.json()["error"]["details"]["reason"] == "started"
        assert purchase.flow().wake_at is None, "nothing more will happen by itself"
        assert settle_due_flows() == 0
    assert TimelineEntry.objects.filter(flow_id=purchase.flow_id, what="Time passed", cause_kind="clock").exists()
    assert open_attention() == []


def test_r41_an_unpaid_session_that_took_place_needs_a_person(world: World) -> None:
    booking = direct(world)
    with at(booking.end):
        settle_due_flows()

        booking.refresh_from_db()
        assert (booking.status, booking.flow.payment_status) == ("COMPLETED", "PENDING")
        assert open_attention() == ["DIRECT_BOOKING", "UNPAID_SESSION"]


def test_r41_a_successor_that_is_not_seen_for_ten_minutes_needs_a_person(world: World) -> None:
    world.calendly.room("switches", reschedule_copies_tracking=False)
    purchase = bought(world)
    purchase.moves(12 * DAYS)
    letters = world.mail()
    world.deliver([letter for letter in letters if letter.name == "invitee.canceled"])
    world.work()
    began = timezone.now()
    for minutes, attention in ((9, []), (11, ["SUCCESSOR_UNSEEN"])):
        with time_machine.travel(began + minutes * MINUTES):
            settle_due_flows()
            assert open_attention() == attention
            assert purchase.told(0)[0] == "RESCHEDULED"
    world.deliver([letter for letter in letters if letter.name == "invitee.created"])
    world.work()

    assert purchase.told()[0] == "CONFIRMED"
    assert open_attention() == []


# Who did not come.


def test_no_shows_are_recorded_and_the_latest_by_calendlys_clock_counts(world: World) -> None:
    purchase = bought(world)
    end = purchase.booking().end
    with at(end):
        world.hear()
        assert purchase.told()[0] == "COMPLETED"
        for undo in (False, True, False):
            world.calendly.room("no_show", invitee=purchase.slots[-1]["invitee_id"], undo=undo)
            world.calendly.room("clock", advance_seconds=60)
        letters = world.mail()
        names = [f"invitee_no_show.{what}" for what in ("created", "deleted", "created")]
        assert [letter.name for letter in letters] == names
        for place in range(3):  # the world as it was after the first, the second, the third
            for order in permutations(letters[: place + 1]):
                with world.undone():
                    world.deliver([*order, order[0]])
                    world.work()
                    assert set(Delivery.objects.values_list("state", flat=True)) == {State.PROCESSED}
                    assert purchase.booking().no_show is (place != 1)
                    assert purchase.told() == ("COMPLETED", "PAID", "ACTIVE"), "it is shown, and changes nothing"
    assert world.money()["refunded"] == 0
    assert open_attention() == []
