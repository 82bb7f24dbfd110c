"""Stripe's news against ours: LIFECYCLE R5 to R8, R31 and R33, lost answers, and checkouts while Stripe is away."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
import requests
import time_machine
from django.conf import settings as configured
from django.utils import timezone
from pytest_django.fixtures import Settings

from bookings.facts import IntentKind, Outcome
from bookings.models import Booking, Intent
from payments import acting
from payments.models import Checkout, Payment, Refund
from webhooks.tests.world import CURRENCY, PRICE, Person, World, at_once, open_attention

DAY = timedelta(days=1)
MINUTES = timedelta(minutes=1)


def booked(world: World, person: Person) -> str:
    """The id of a booking that waits for its checkout: Calendly was asked, Stripe was not called yet."""
    flow_id = person.initiate()
    booking_id: str = person.store_event(flow_id, world.book(flow_id)).json()["bookingId"]
    return booking_id


def second_session(world: World, session_id: str) -> str:
    """Another session with the same metadata, as Stripe opens one when it has forgotten our key."""
    first = next(one for one in world.sessions() if one["id"] == session_id)
    form = {
        "mode": "payment",
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": first["currency"],
        "line_items[0][price_data][unit_amount]": str(first["amount_total"]),
        "line_items[0][price_data][product_data][name]": "The same",
        "success_url": first["success_url"],
        "client_reference_id": first["client_reference_id"],
        **{f"metadata[{name}]": value for name, value in first["metadata"].items()},
        **{f"payment_intent_data[metadata][{name}]": value for name, value in first["metadata"].items()},
    }
    answer = requests.post(
        f"{world.stripe.base}/v1/checkout/sessions",
        data=form,
        headers={"Authorization": f"Bearer {configured.STRIPE_SECRET_KEY}"},
        timeout=10,
    )
    assert answer.ok, answer.text
    opened: str = answer.json()["id"]
    return opened


# R5 and R6: money around the end of the flow.


@pytest.mark.parametrize("sweeper_first", [True, False])
def test_money_after_the_hold_but_before_the_end_was_written_confirms(world: World, sweeper_first: bool) -> None:
    casey = world.person()
    flow_id, booking_id, session_id = world.walk_to_payment(casey)
    with time_machine.travel(timezone.now() + 31 * MINUTES):
        world.pay(session_id)
        if sweeper_first:
            world.work()
        world.hear()

        told = casey.status(booking_id)
        assert (told["status"], told["paymentStatus"]) == ("CONFIRMED", "PAID")
        assert world.money() == {"captured": PRICE, "refunded": 0}
    assert open_attention(flow_id) == []


def test_money_after_the_end_goes_back_whole(world: World) -> None:
    casey = world.person()
    flow_id, booking_id, session_id = world.walk_to_payment(casey)
    intent = Checkout.objects.get(session_id=session_id).intent
    assert intent
    with time_machine.travel(timezone.now() + 31 * MINUTES):
        world.hear()
        assert casey.status(booking_id)["status"] == "CANCELLED"
        world.stripe.room("payment", amount=PRICE, currency="usd", metadata={"intent": intent.id})
        world.hear()

        told = casey.status(booking_id)
        assert (told["status"], told["paymentStatus"]) == ("CANCELLED", "REFUNDED")
        assert world.money() == {"captured": PRICE, "refunded": PRICE}
        refund = Refund.objects.get()
        assert refund.intent
        assert refund.intent.why == "D4"
    assert open_attention(flow_id) == []


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("stripe_first", [True, False])
def test_a_cancellation_and_a_payment_end_the_same_in_any_order(world: World, late: bool, stripe_first: bool) -> None:
    """The invitee cancels so late that nothing comes back; what was paid after it does, wherever the news is."""
    casey = world.person()
    flow_id = casey.initiate()
    start = (timezone.now() + timedelta(hours=6)).isoformat()
    slot = world.book(flow_id, start_time=start)
    world.hear()
    if late:
        world.calendly.room("cancel", invitee=slot["invitee_id"])
        world.stripe.room("clock", advance_seconds=60)
        world.pay(world.sessions()[0]["id"])
    else:
        world.pay(world.sessions()[0]["id"])
        world.calendly.room("clock", advance_seconds=60)
        world.calendly.room("cancel", invitee=slot["invitee_id"])
    letters = sorted(world.mail(), key=lambda letter: (letter.provider == "stripe") != stripe_first)
    for letter in letters:
        world.deliver([letter])
        world.work()
    world.hear()

    told = casey.status(Booking.objects.get().id)
    assert (told["status"], told["paymentStatus"]) == ("CANCELLED", "REFUNDED" if late else "PAID")
    assert world.money() == {"captured": PRICE, "refunded": PRICE if late else 0}


# R7: two checkouts are paid.


def test_of_two_paid_checkouts_one_is_refunded(world: World) -> None:
    casey = world.person()
    _, booking_id, session_id = world.walk_to_payment(casey)
    other_id = second_session(world, session_id)
    world.pay(session_id)
    world.stripe.room("clock", advance_seconds=5)
    world.pay(other_id)

    letters = world.mail()
    world.deliver(letters + letters[::-1])
    world.work()
    world.hear()

    told = casey.status(booking_id)
    assert (told["status"], told["paymentStatus"]) == ("CONFIRMED", "PAID")
    assert world.money() == {"captured": 2 * PRICE, "refunded": PRICE}
    refund = Refund.objects.get()
    last = Checkout.objects.get(session_id=other_id).payment_intent_id
    assert refund.payment_id == last, "what was captured last goes back"
    assert refund.intent
    assert refund.intent.why == "surplus"


# R8: create-checkout twice at once.


@pytest.mark.django_db(transaction=True)
def test_checkouts_asked_for_at_once_are_one_session(world: World) -> None:
    casey = world.person()
    booking_id = booked(world, casey)
    Intent.objects.update(next_at=timezone.now())

    answers = at_once(*[lambda: casey.checkout(booking_id)] * 3, world.work)[:3]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.json()["sessionId"] for answer in answers}) == 1
    assert len(world.sessions()) == Intent.objects.filter(kind=IntentKind.OPEN_CHECKOUT).count() == 1


# R31: not the price.


@pytest.mark.parametrize("paid", [{"amount": PRICE - 3_000}, {"amount": PRICE + 3_000}, {"currency": "eur"}])
def test_another_amount_or_currency_does_not_confirm_and_waits_for_a_person(world: World, paid: dict[str, Any]) -> None:
    casey = world.person()
    flow_id, booking_id, session_id = world.walk_to_payment(casey)
    world.pay(session_id, **paid)
    letters = world.mail("checkout.session.completed", "payment_intent.succeeded", "charge.succeeded")
    for order in permutations(letters):
        with world.undone():
            world.deliver(order)
            world.work()
            told = casey.status(booking_id)
            assert (told["status"], told["paymentStatus"]) == ("PENDING", "PENDING")
            assert open_attention(flow_id) == ["AMOUNT_MISMATCH"]

    world.deliver(letters)
    world.work()
    with time_machine.travel(timezone.now() + 2 * DAY):
        world.hear()
        assert casey.status(booking_id)["status"] == "PENDING", "no end while the money is unresolved"
        assert casey.checkout(booking_id).status_code == 410
    assert world.money()["refunded"] == 0
    assert len(world.sessions()) == 1


# R33: money that names us.


def test_money_that_names_the_booking_but_no_intent_is_unmatched(world: World) -> None:
    casey = world.person()
    flow_id, booking_id, _ = world.walk_to_payment(casey)

    world.stripe.room("payment", amount=PRICE, currency=CURRENCY.lower(), metadata={"bookingId": booking_id})
    world.hear()

    assert casey.status(booking_id)["status"] == "PENDING"
    assert open_attention(flow_id) == ["UNMATCHED_PAYMENT"]
    assert world.money() == {"captured": PRICE, "refunded": 0}


def test_money_that_names_anothers_intent_is_unmatched_here(world: World) -> None:
    casey = world.person()
    _, booking_id, session_id = world.walk_to_payment(casey)
    other_flow, other_booking, _ = world.walk_to_payment(world.person("other@example.com"))
    intent = Checkout.objects.get(session_id=session_id).intent
    assert intent
    metadata = {"bookingId": other_booking, "flowId": other_flow, "intent": intent.id}
    world.stripe.room("payment", amount=PRICE, currency=CURRENCY.lower(), metadata=metadata)

    world.hear()

    # It was made for that intent, whatever booking it names: the intent is what we wrote first.
    assert casey.status(booking_id)["status"] == "CONFIRMED"
    assert casey.status(other_booking).get("status") is None
    assert Booking.objects.get(pk=other_booking).status == "PENDING"


def test_a_payment_whose_checkout_we_never_heard_of_is_adopted(world: World) -> None:
    """Stripe opened the session, its answer was lost, and the client was quicker than our second try."""
    casey = world.person()
    booking_id = booked(world, casey)
    world.stripe.breaks("POST", "/v1/checkout/sessions", "fail_after")
    world.work()
    assert not Checkout.objects.exists()
    (session,) = world.sessions()

    world.pay(session["id"])
    world.hear()

    told = casey.status(booking_id)
    assert (told["status"], told["paymentStatus"]) == ("CONFIRMED", "PAID")
    assert Checkout.objects.get().session_id == session["id"]
    assert Intent.objects.get(kind=IntentKind.OPEN_CHECKOUT).outcome == Outcome.DONE
    assert open_attention() == []
    assert Payment.objects.get().intent == Intent.objects.get(kind=IntentKind.OPEN_CHECKOUT)


# A lost answer, and no answer.


@pytest.mark.parametrize("how", ["fail_after", "reset_after", "garble"])
def test_a_lost_answer_ends_with_one_session(world: World, how: str) -> None:
    casey = world.person()
    booking_id = booked(world, casey)
    world.stripe.breaks("POST", "/v1/checkout/sessions", how)

    world.work()
    world.work()

    (session,) = world.sessions()
    assert Checkout.objects.get().session_id == session["id"]
    assert casey.checkout(booking_id).json()["url"] == session["url"]
    assert Intent.objects.get(kind=IntentKind.OPEN_CHECKOUT).outcome == Outcome.DONE


def test_a_lost_answer_inside_the_request_is_found_by_the_next(world: World) -> None:
    casey = world.person()
    booking_id = booked(world, casey)
    world.stripe.breaks("POST", "/v1/checkout/sessions", "fail_after")
    assert casey.checkout(booking_id).json()["error"]["code"] == "STRIPE_API_ERROR"

    assert casey.checkout(booking_id).json()["sessionId"] == world.sessions()[0]["id"]
    assert len(world.sessions()) == 1


def test_without_stripe_create_checkout_says_so_and_opens_it_later(world: World, settings: Settings) -> None:
    casey = world.person()
    booking_id = booked(world, casey)
    base, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, "http://127.0.0.1:9"
    answer = casey.checkout(booking_id)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "STRIPE_API_ERROR")
    assert int(answer["Retry-After"]) > 0
    assert casey.status(booking_id)["status"] == "PENDING"

    settings.STRIPE_API_BASE = base
    world.work()

    assert casey.checkout(booking_id).json()["sessionId"] == world.sessions()[0]["id"]
    assert len(world.sessions()) == 1


def test_a_checkout_that_waited_too_long_to_be_opened_is_planned_anew(world: World) -> None:
    """Stripe refuses one that would end within half an hour, and the end is frozen with the intent."""
    casey = world.person()
    booking_id = booked(world, casey)
    with time_machine.travel(timezone.now() + 10 * MINUTES):
        answer = casey.checkout(booking_id)

        assert answer.status_code == 200
        assert answer.json()["sessionId"] == world.sessions()[0]["id"]
        world.work()
    outcomes = Intent.objects.filter(kind=IntentKind.OPEN_CHECKOUT).order_by("created_at")
    assert list(outcomes.values_list("outcome", flat=True)) == [Outcome.WITHDRAWN, Outcome.DONE]
    assert len(world.sessions()) == 1


def test_a_worker_that_died_after_stripe_had_opened_the_session_opens_no_second(world: World) -> None:
    booked(world, world.person())
    leased = acting.claim(Intent.objects.get().id)
    assert leased
    with world.undone():
        acting.make_call(leased)
    assert len(world.sessions()) == 1
    acting.act(leased.id)
    assert not Checkout.objects.exists(), "nobody else may call while the lease runs"

    with time_machine.travel(timezone.now() + 3 * MINUTES):
        world.work()

    assert Checkout.objects.get().session_id == world.sessions()[0]["id"]
    assert len(world.sessions()) == 1
