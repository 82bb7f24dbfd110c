"""The whole main walk, its deliveries doubled and swapped: whatever the order, the end is the same."""

import random
import time
from collections.abc import Callable

import pytest
from pytest_django.live_server_helper import LiveServer

from bookings.locked import Cause
from bookings.models import Booking
from payments import stripe_api
from payments.models import Checkout
from payments.records import record_checkout
from payments.settlement import settled_flow
from webhooks.models import Delivery, State
from webhooks.tests.world import PRICE, Letter, World, open_attention

ORDERS = 8
"""How many are tried, of each walk. They are drawn, but the same in every run."""
MONEY_LETTERS = ["charge.succeeded", "charge.updated", "checkout.session.completed", "payment_intent.succeeded"]


def check_every_order(world: World, flow_id: str, letters: list[Letter], seed: str) -> None:
    """Deliver the letters twice each in many orders, work between them at any time: it must come to the same."""
    ends = []
    for order in range(ORDERS):
        dice = random.Random(f"{seed} {order}")  # noqa: S311 - repeatable on purpose
        with world.undone():
            for letter in dice.sample(letters * 2, k=2 * len(letters)):
                world.deliver([letter])
                if dice.random() < 0.6:
                    world.work()
            world.work()
            assert set(Delivery.objects.values_list("state", flat=True)) == {State.PROCESSED}
            ends.append(world.end(flow_id))
    assert all(end == ends[0] for end in ends)
    end = ends[0]
    assert [booking[-2:] for booking in end["bookings"]] == [("CONFIRMED", "ACTIVE")]
    assert end["flow"] == ("PAID", "", False)
    assert end["calls"] == [("open_checkout", "done", PRICE)]
    assert end["attention"] == []
    assert len(world.sessions()) == 1
    assert world.money() == {"captured": PRICE, "refunded": 0}


@pytest.mark.parametrize("shape", ["v2", "contract", "contract-1.2"])
def test_every_order_of_the_walks_deliveries_ends_the_same(world: World, shape: str) -> None:
    """Calendly was read at store-event, so that the client could pay before any letter came."""
    world.calendly.room("shape", shape=shape)
    casey = world.person()
    flow_id = casey.initiate()
    answer = casey.store_event(flow_id, world.book(flow_id)).json()
    session_id = casey.checkout(answer["bookingId"]).json()["sessionId"]
    world.pay(session_id)
    letters = world.mail()
    assert sorted(letter.name for letter in letters) == [*MONEY_LETTERS[:3], "invitee.created", MONEY_LETTERS[3]]

    check_every_order(world, flow_id, letters, seed=shape)


def test_every_order_ends_the_same_although_the_answer_of_the_checkout_was_lost(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    casey.store_event(flow_id, world.book(flow_id))
    world.stripe.breaks("POST", "/v1/checkout/sessions", "fail_after")
    world.work()
    world.pay(world.sessions()[0]["id"])

    check_every_order(world, flow_id, world.mail(), seed="lost answer")


@pytest.mark.parametrize("shape", ["v2", "contract", "contract-1.2"])
def test_the_webhooks_alone_lead_to_the_same_end_in_every_shape(world: World, shape: str) -> None:
    """Without store-event; the worker reads what the contract's shapes lack."""
    world.calendly.room("shape", shape=shape)
    flow_id, booking_id, session_id = world.walk_to_payment(world.person())
    world.pay(session_id)
    world.hear()

    booking = Booking.objects.get(pk=booking_id)
    assert (booking.status, booking.name, booking.email) == ("CONFIRMED", "Casey Client", "casey@example.com")
    assert booking.start
    assert booking.end
    assert booking.invitee_created_at
    assert booking.event_type_id == booking.flow.session_type.event_type_id
    assert world.end(flow_id)["flow"] == ("PAID", "", False)


def test_an_answer_that_the_news_overtook_changes_nothing(world: World) -> None:
    flow_id, _, session_id = world.walk_to_payment(world.person())
    before_it_was_paid = stripe_api.read_checkout(session_id)
    world.pay(session_id)
    world.hear()
    end = world.end(flow_id)

    with settled_flow(flow_id, Cause.clock()) as flow:
        record_checkout(flow, before_it_was_paid, read=True)

    assert world.end(flow_id) == end
    assert end["flow"] == ("PAID", "", False)


@pytest.mark.django_db(transaction=True)
def test_the_providers_own_couriers_end_the_walk(world: World, live_server: LiveServer) -> None:
    """Letters doubled, late and overtaken on their real way to a live server."""
    for provider in (world.calendly, world.stripe):
        provider.room("faults", rates={"duplicate": 1.0, "reorder": 0.5, "delay": 0.3, "delay_seconds": 0.5})
    casey = world.person()
    flow_id = casey.initiate()
    world.book(flow_id)
    work_until(world, lambda: Checkout.objects.exists())
    world.pay(Checkout.objects.get().session_id)
    work_until(world, lambda: Delivery.objects.filter(state=State.PROCESSED).count() == 1 + len(MONEY_LETTERS))

    told = casey.status(Booking.objects.get().id)
    assert (told["status"], told["paymentStatus"]) == ("CONFIRMED", "PAID")
    assert sorted(Delivery.objects.values_list("name", flat=True)) == sorted([*MONEY_LETTERS, "invitee.created"])
    assert open_attention() == []


def work_until(world: World, done: Callable[[], bool], seconds: float = 15.0) -> None:
    """Work again and again until it has come about."""
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends, "it did not come about in time"
        time.sleep(0.05)
        world.work()
