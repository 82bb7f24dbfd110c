"""Ending a booking that somebody gives up: LIFECYCLE R9, R27, R28, R30, R34 and R39, and the decisions D1 to D3."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from pytest_django.fixtures import Settings

from bookings.facts import IntentKind, Outcome
from bookings.models import Intent
from payments import acting
from payments.models import Refund
from webhooks.tests.purchases import DAYS, HOURS, MINUTES, NOWHERE, POLICY, begun, bought, no_time_for_providers
from webhooks.tests.world import PRICE, World, at_once, open_attention

# D1 to D3: what comes back depends on who gives up, and when.


@pytest.mark.parametrize(("ahead", "percent"), POLICY)
def test_d1_a_client_who_cancels_gets_what_the_policy_gives(world: World, ahead: timedelta, percent: int) -> None:
    purchase = bought(world, ahead=ahead)

    told = purchase.cancels(reason="Ill")

    assert told == ("CANCELLED", "COMPLETED" if percent else "NOT_APPLICABLE")
    assert world.money() == {"captured": PRICE, "refunded": PRICE * percent // 100}
    assert purchase.at_calendly() == ["canceled"]
    world.hear()
    assert world.money() == {"captured": PRICE, "refunded": PRICE * percent // 100}
    status = {100: "REFUNDED", 50: "PARTIALLY_REFUNDED", 0: "PAID"}[percent]
    assert purchase.told() == ("CANCELLED", status, "CANCELLED")
    flow = purchase.flow()
    assert (flow.decision_row, flow.decision_percent, flow.decision_by) == ("D1", percent, "client")
    assert open_attention() == []


def test_d1_a_client_may_leave_the_money(world: World) -> None:
    purchase = bought(world)

    assert purchase.cancels(refundRequested=False) == ("CANCELLED", "NOT_APPLICABLE")

    world.hear()
    assert purchase.told() == ("CANCELLED", "PAID", "CANCELLED")
    assert world.money()["refunded"] == 0


@pytest.mark.parametrize("ahead", [10 * DAYS, 6 * HOURS])
def test_r39_when_the_host_cancels_all_goes_back_whatever_the_policy(world: World, ahead: timedelta) -> None:
    purchase = bought(world, ahead=ahead)

    purchase.is_cancelled_at_calendly(by="host")
    world.hear()

    assert purchase.told() == ("CANCELLED", "REFUNDED", "CANCELLED")
    assert world.money() == {"captured": PRICE, "refunded": PRICE}
    assert (purchase.flow().decision_row, purchase.flow().decision_by) == ("D2", "host")
    assert open_attention() == []


@pytest.mark.parametrize(
    ("shape", "ahead", "percent"),
    [("v2", 6 * HOURS, 0), *((shape, 18 * HOURS, 50) for shape in ("v2", "contract", "contract-1.2"))],
)
def test_d3_an_invitee_who_cancels_at_calendly_gets_what_the_policy_gave_then(
    world: World, shape: str, ahead: timedelta, percent: int
) -> None:
    world.calendly.room("shape", shape=shape)
    purchase = bought(world, ahead=ahead)
    purchase.is_cancelled_at_calendly()

    # The news is late: by our clock the session is so near that nothing would come back.
    with time_machine.travel(timezone.now() + ahead - HOURS):
        world.hear()

    assert purchase.told() == ("CANCELLED", "PARTIALLY_REFUNDED" if percent else "PAID", "CANCELLED")
    assert world.money()["refunded"] == PRICE * percent // 100
    assert (purchase.flow().decision_row, purchase.flow().decision_by) == ("D3", "client")


def test_what_was_decided_first_stands(world: World, settings: Settings) -> None:
    """The client cancels for half; the host, who would give all, comes later, as does the client at Calendly."""
    purchase = bought(world, ahead=18 * HOURS)
    base, settings.CALENDLY_API_BASE = settings.CALENDLY_API_BASE, NOWHERE
    assert purchase.cancels() == ("CANCELLATION_PENDING", "COMPLETED")
    settings.CALENDLY_API_BASE = base

    purchase.is_cancelled_at_calendly(by="host")
    world.hear()

    assert purchase.told() == ("CANCELLED", "PARTIALLY_REFUNDED", "CANCELLED")
    assert world.money()["refunded"] == PRICE // 2
    assert purchase.flow().decision_row == "D1"
    assert open_attention() == []


def test_our_own_cancel_is_not_taken_for_the_hosts(world: World) -> None:
    """It reaches Calendly as the host's, and its news may overtake all that we know of it."""
    purchase = bought(world, ahead=6 * HOURS)

    purchase.cancels()
    letters = world.mail()
    world.deliver(letters + letters)
    world.work()

    assert "invitee.canceled" in [letter.name for letter in letters]
    assert purchase.flow().decision_row == "D1"
    assert world.money()["refunded"] == 0


# R9: the client cancels while the client is paying.


def test_r9_a_cancel_expires_the_open_checkout(world: World) -> None:
    purchase = begun(world)

    assert purchase.cancels() == ("CANCELLED", "NOT_APPLICABLE")

    assert purchase.at_stripe() == ["expired"]
    assert purchase.at_calendly() == ["canceled"]
    world.hear()
    assert purchase.told() == ("CANCELLED", "UNPAID", "CANCELLED")
    assert purchase.client.checkout(purchase.booking().id).status_code == 410
    assert len(world.sessions()) == 1


@pytest.mark.parametrize(("ahead", "percent"), POLICY[1:])
@pytest.mark.parametrize("letters", [True, False])
def test_r9_money_of_before_the_cancel_goes_back_by_the_policy(
    world: World, monkeypatch: pytest.MonkeyPatch, ahead: timedelta, percent: int, letters: bool
) -> None:
    """Stripe has it already, and we learn of it when the checkout cannot be expired any more, or by its letters."""
    purchase = begun(world, ahead=ahead)
    purchase.pays()
    with time_machine.travel(timezone.now() + MINUTES):
        if letters:
            no_time_for_providers(monkeypatch)
        purchase.cancels()
        world.hear()

    assert purchase.flow().decision_percent == percent
    assert world.money() == {"captured": PRICE, "refunded": PRICE * percent // 100}
    assert purchase.told()[0] == "CANCELLED"
    assert open_attention() == []


@pytest.mark.parametrize("ahead", [10 * DAYS, 6 * HOURS])
@pytest.mark.parametrize("letters_first", [True, False])
def test_r9_money_of_after_the_cancel_goes_back_whole(
    world: World, monkeypatch: pytest.MonkeyPatch, ahead: timedelta, letters_first: bool
) -> None:
    purchase = begun(world, ahead=ahead)
    no_time_for_providers(monkeypatch)
    assert purchase.cancels() == ("CANCELLATION_PENDING", "PENDING")

    with time_machine.travel(timezone.now() + MINUTES):
        purchase.pays()
        if not letters_first:
            world.work()
        world.hear()

    assert purchase.told() == ("CANCELLED", "REFUNDED", "CANCELLED")
    assert world.money() == {"captured": PRICE, "refunded": PRICE}
    assert open_attention() == []


# R27: Calendly does not answer.


def test_r27_without_calendly_the_cancel_is_pending_and_the_refund_does_not_wait(
    world: World, settings: Settings
) -> None:
    purchase = bought(world, ahead=18 * HOURS)
    base, settings.CALENDLY_API_BASE = settings.CALENDLY_API_BASE, NOWHERE

    assert purchase.cancels() == ("CANCELLATION_PENDING", "COMPLETED")
    assert world.money()["refunded"] == PRICE // 2
    assert purchase.at_calendly() == ["active"]
    told = purchase.client.get(f"/api/scheduling/bookings/{purchase.booking().id}").json()["booking"]
    assert (told["status"], told["cancellationPending"]) == ("CONFIRMED", True)
    with time_machine.travel(timezone.now() + 2 * HOURS):
        world.work()
        assert purchase.cancels() == ("CANCELLATION_PENDING", "COMPLETED")

        settings.CALENDLY_API_BASE = base
        world.hear()

    assert purchase.told() == ("CANCELLED", "PARTIALLY_REFUNDED", "CANCELLED")
    assert purchase.at_calendly() == ["canceled"]
    assert world.money()["refunded"] == PRICE // 2


@pytest.mark.parametrize("how", ["fail_after", "reset_after", "garble"])
def test_r27_a_cancel_whose_answer_was_lost_is_found_done(world: World, how: str) -> None:
    purchase = bought(world)
    world.calendly.breaks("POST", "/scheduled_events/*/cancellation", how)

    purchase.cancels()
    world.hear()

    assert purchase.told() == ("CANCELLED", "REFUNDED", "CANCELLED")
    cancel = Intent.objects.get(kind=IntentKind.CANCEL_EVENT)
    assert cancel.outcome == Outcome.DONE
    assert open_attention() == []


def test_r27_a_worker_that_died_after_calendly_had_cancelled_is_followed_by_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = bought(world)
    no_time_for_providers(monkeypatch)
    assert purchase.cancels() == ("CANCELLATION_PENDING", "PENDING")
    leased = acting.claim(Intent.objects.get(kind=IntentKind.CANCEL_EVENT).id)
    assert leased
    with world.undone():
        acting.make_call(leased)
    assert purchase.at_calendly() == ["canceled"]

    with time_machine.travel(timezone.now() + 3 * MINUTES):
        world.work()

    assert purchase.told()[0] == "CANCELLED"
    assert Intent.objects.get(kind=IntentKind.CANCEL_EVENT).outcome == Outcome.DONE


# R28: Stripe does not answer.


def test_r28_without_stripe_calendly_is_cancelled_and_the_refund_is_pending(world: World, settings: Settings) -> None:
    purchase = bought(world, ahead=18 * HOURS)
    base, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, NOWHERE

    answer = purchase.asks_to_cancel().json()

    assert (answer["status"], answer["refundStatus"], answer["refundId"]) == ("CANCELLED", "PENDING", None)
    assert purchase.at_calendly() == ["canceled"]
    assert purchase.told() == ("CANCELLED", "PAID", "CANCELLED")
    settings.STRIPE_API_BASE = base
    with time_machine.travel(timezone.now() + 11 * HOURS):  # by now nothing would come back any more
        world.hear()
    assert purchase.told() == ("CANCELLED", "PARTIALLY_REFUNDED", "CANCELLED")
    assert world.money()["refunded"] == PRICE // 2
    assert purchase.cancels() == ("CANCELLED", "COMPLETED")


@pytest.mark.parametrize("how", ["fail_after", "reset_after", "garble"])
def test_r28_a_refund_whose_answer_was_lost_is_made_once(world: World, how: str) -> None:
    purchase = bought(world, ahead=18 * HOURS)
    world.stripe.breaks("POST", "/v1/refunds", how)

    purchase.cancels()
    world.work()
    world.hear()

    assert purchase.told() == ("CANCELLED", "PARTIALLY_REFUNDED", "CANCELLED")
    assert world.money()["refunded"] == PRICE // 2
    assert Refund.objects.get().intent == Intent.objects.get(kind=IntentKind.REFUND)


def test_r28_a_worker_that_died_after_stripe_had_refunded_is_followed_by_one_with_the_same_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = bought(world, ahead=18 * HOURS)
    no_time_for_providers(monkeypatch)
    purchase.cancels()
    leased = acting.claim(Intent.objects.get(kind=IntentKind.REFUND).id)
    assert leased
    with world.undone():
        acting.make_call(leased)
    assert world.money()["refunded"] == PRICE // 2
    assert not Refund.objects.exists()

    with time_machine.travel(timezone.now() + 3 * MINUTES):
        world.work()

    assert purchase.told() == ("CANCELLED", "PARTIALLY_REFUNDED", "CANCELLED")
    assert world.money()["refunded"] == PRICE // 2


# R30: twice.


def test_r30_a_repeated_cancel_answers_the_present_state_and_does_nothing(world: World) -> None:
    purchase = bought(world, ahead=18 * HOURS)
    first = purchase.asks_to_cancel(reason="Ill").json()
    world.hear()
    end, updated_at = world.end(purchase.flow_id), purchase.flow().updated_at

    again = purchase.asks_to_cancel(reason="Another", refundRequested=False).json()

    assert again == first
    assert first["refundId"] == Refund.objects.get().refund_id
    assert (world.end(purchase.flow_id), purchase.flow().updated_at) == (end, updated_at)
    assert purchase.flow().cancel_reason == "Ill"


@pytest.mark.django_db(transaction=True)
def test_r30_cancels_at_once_are_one(world: World) -> None:
    purchase = bought(world, ahead=18 * HOURS)

    answers = at_once(*[purchase.asks_to_cancel] * 3, world.work)[:3]
    world.hear()

    assert [answer.status_code for answer in answers] == [200] * 3
    assert purchase.told() == ("CANCELLED", "PARTIALLY_REFUNDED", "CANCELLED")
    assert world.money()["refunded"] == PRICE // 2
    kinds = [IntentKind.CANCEL_EVENT, IntentKind.REFUND]
    assert sorted(Intent.objects.filter(kind__in=kinds).values_list("kind", "outcome")) == [
        (kind, Outcome.DONE) for kind in kinds
    ]
    assert open_attention() == []


@pytest.mark.django_db(transaction=True)
def test_r30_a_cancel_here_and_one_at_calendly_at_once_are_one(world: World) -> None:
    purchase = bought(world, ahead=18 * HOURS)
    purchase.is_cancelled_at_calendly()
    world.deliver()

    (answer, *_) = at_once(purchase.asks_to_cancel, world.work, world.work)
    world.hear()

    assert answer.status_code == 200
    assert purchase.flow().decision_row in ("D1", "D3")
    assert purchase.told() == ("CANCELLED", "PARTIALLY_REFUNDED", "CANCELLED")
    assert world.money()["refunded"] == PRICE // 2


# R34: too late.


def test_r34_after_the_start_a_cancel_is_refused(world: World) -> None:
    purchase = bought(world)
    start = purchase.booking().start
    assert start
    with time_machine.travel(start, tick=False):
        refused = purchase.asks_to_cancel()
        world.hear()

        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["details"]["reason"]) == (409, "BOOKING_CONFLICT", "started")
        assert purchase.told() == ("CONFIRMED", "PAID", "ACTIVE")
    assert purchase.at_calendly() == ["active"]
    assert world.money()["refunded"] == 0
    with time_machine.travel(start - timedelta(microseconds=1), tick=False):
        assert purchase.cancels() == ("CANCELLED", "NOT_APPLICABLE")


def test_r34_a_cancel_that_calendly_hears_after_the_start_is_done_with_a_note(world: World, settings: Settings) -> None:
    """Asked in time, but Calendly was away until the session had begun. The decision stands."""
    purchase = bought(world, ahead=18 * HOURS)
    base, settings.CALENDLY_API_BASE = settings.CALENDLY_API_BASE, NOWHERE
    assert purchase.cancels() == ("CANCELLATION_PENDING", "COMPLETED")
    settings.CALENDLY_API_BASE = base

    with time_machine.travel(timezone.now() + 18 * HOURS + MINUTES):
        world.hear()

        assert purchase.told() == ("CANCELLED", "PARTIALLY_REFUNDED", "ACTIVE")
    assert purchase.at_calendly() == ["active"]
    assert world.money()["refunded"] == PRICE // 2
