"""A booking is moved, its news comes in any order: LIFECYCLE R18 to R22, and the policy's window."""

import json
import random
from datetime import timedelta
from itertools import permutations

import pytest
import responses
import time_machine
from django.utils import timezone
from pytest_django.fixtures import Settings

from bookings.facts import IntentKind
from bookings.models import Booking, BookingFlow, Intent, SessionType, UnplacedInvitee
from webhooks.tests.purchases import DAYS, HOURS, MINUTES, NOWHERE, Purchase, begun, bought
from webhooks.tests.world import PRICE, Letter, World, open_attention

# R18: A -> B -> C.


def check_moved_twice(purchase: Purchase) -> None:
    assert [purchase.told(place)[0] for place in range(3)] == ["RESCHEDULED", "RESCHEDULED", "CONFIRMED"]
    assert [purchase.told(place)[2] for place in range(3)] == ["CANCELLED", "CANCELLED", "ACTIVE"]
    assert {one.flow_id for one in Booking.objects.all()} == {purchase.flow_id}
    assert purchase.flow().decision_row == ""
    assert open_attention() == []


def test_r18_every_order_of_two_reschedules_ends_the_same_and_refunds_nothing(world: World) -> None:
    world.calendly.room("switches", reschedule_copies_tracking=False)
    purchase = bought(world)
    purchase.moves(12 * DAYS)
    purchase.moves(14 * DAYS)
    letters = world.mail()
    assert len(letters) == 4
    ends = []
    for order in permutations(letters):
        with world.undone():
            for letter in order:
                world.deliver([letter])
                world.work()
                calls = Intent.objects.filter(kind__in=[IntentKind.REFUND, IntentKind.CANCEL_EVENT])
                assert not calls.exists(), "a partial view ended the flow"
            ends.append(world.end(purchase.flow_id))
            if order == tuple(letters):
                check_moved_twice(purchase)
    assert all(end == ends[0] for end in ends)
    assert world.money() == {"captured": PRICE, "refunded": 0}


def test_r18_the_chain_is_the_same_though_the_booking_itself_comes_last(world: World) -> None:
    """Nothing was heard before C: neither A, nor its payment, nor the moves."""
    client = world.person()
    flow_id = client.initiate()
    slot = world.book(flow_id)
    client.store_event(flow_id, slot)
    world.work()
    purchase = Purchase(world, client, flow_id, [slot])
    purchase.pays()
    purchase.moves(12 * DAYS)
    purchase.moves(14 * DAYS)
    for letter in reversed(world.mail()):
        world.deliver([letter])
        world.work()

    check_moved_twice(purchase)
    assert purchase.told() == ("CONFIRMED", "PAID", "ACTIVE")


def test_r18_a_long_chain_in_a_drawn_order_refunds_nothing(world: World) -> None:
    world.calendly.room("switches", reschedule_copies_tracking=False)
    purchase = bought(world)
    for days in range(11, 20):
        purchase.moves(days * DAYS)
    letters = world.mail()
    random.Random("chain").shuffle(letters)  # noqa: S311 - repeatable on purpose

    for letter in letters:
        world.deliver([letter, letter])
        world.work()

    assert [purchase.told(place)[0] for place in range(10)] == ["RESCHEDULED"] * 9 + ["CONFIRMED"]
    assert world.money() == {"captured": PRICE, "refunded": 0}
    assert open_attention() == []
    told = purchase.client.get(f"/api/scheduling/bookings/{purchase.booking(3).id}").json()["booking"]
    assert told["rescheduledFrom"] == purchase.booking(2).id
    assert told["rescheduledTo"] == purchase.booking(4).id


def test_r18_a_move_that_does_not_say_whereto_refunds_nothing(world: World) -> None:
    purchase = bought(world)
    purchase.moves(12 * DAYS)
    left, taken = world.mail()
    body = json.loads(left.body)
    body["payload"]["new_invitee"] = None
    world.deliver([Letter(left.provider, left.name, json.dumps(body).encode())])
    world.work()
    assert (purchase.told(0)[0], purchase.flow().decision_row) == ("RESCHEDULED", "")

    world.deliver([taken])
    world.work()
    assert purchase.told() == ("CONFIRMED", "PAID", "ACTIVE")
    assert world.money()["refunded"] == 0


def test_r18_a_cancel_at_the_end_of_the_chain_waits_for_the_whole_of_it(world: World) -> None:
    """C is cancelled and its news comes first; A and B decide how much goes back: A was left 18 h before its start."""
    world.calendly.room("switches", reschedule_copies_tracking=False)
    purchase = bought(world, ahead=18 * HOURS)
    purchase.moves(5 * DAYS)
    purchase.moves(9 * DAYS)
    purchase.is_cancelled_at_calendly()
    letters = world.mail()
    ends = []
    for order in (letters, letters[::-1], [*letters[3:], *letters[:3]]):
        with world.rewound():
            for letter in order:
                world.deliver([letter])
                world.work()
            world.work()
            assert purchase.flow().decision_percent == 50
            assert world.money()["refunded"] == PRICE // 2
            ends.append(world.end(purchase.flow_id))
    assert ends[0] == ends[1] == ends[2]


# R19: the old invitee is unknown.


@pytest.mark.parametrize("moves", [1, 2])
def test_r19_an_unknown_old_invitee_is_read_back_until_the_flow_is_known(world: World, moves: int) -> None:
    """The letters of A are lost, and B names no flow: A's own tracking does."""
    world.calendly.room("switches", reschedule_copies_tracking=False)
    client = world.person()
    flow_id = client.initiate()
    purchase = Purchase(world, client, flow_id, [world.book(flow_id)])
    for number in range(moves):
        purchase.moves((12 + number) * DAYS)
    last = world.mail()[-1]
    assert last.name == "invitee.created"

    world.deliver([last])
    world.work()

    assert Booking.objects.filter(flow_id=flow_id).count() == 1 + moves
    assert purchase.told(0)[0] == "RESCHEDULED"
    purchase.pays()
    world.hear()
    assert purchase.told() == ("CONFIRMED", "PAID", "ACTIVE")
    assert BookingFlow.objects.count() == len(world.sessions()) == 1
    assert open_attention() == []


def test_r19_while_calendly_is_silent_it_is_kept_and_after_ten_minutes_a_person_looks(
    world: World, settings: Settings
) -> None:
    world.calendly.room("switches", reschedule_copies_tracking=False)
    client = world.person()
    flow_id = client.initiate()
    purchase = Purchase(world, client, flow_id, [world.book(flow_id)])
    purchase.moves(12 * DAYS)
    world.deliver(world.mail()[-1:])
    base, settings.CALENDLY_API_BASE = settings.CALENDLY_API_BASE, NOWHERE
    began = timezone.now()
    for minutes, attention in ((0, []), (9, []), (10.1, ["UNPLACED_INVITEE"])):
        with time_machine.travel(began + minutes * MINUTES):
            world.work()
            assert open_attention() == attention
            assert UnplacedInvitee.objects.get().pk == purchase.slots[-1]["invitee_id"]
    assert not Booking.objects.exists()
    settings.CALENDLY_API_BASE = base

    with time_machine.travel(began + 30 * MINUTES):
        world.work()

    assert purchase.booking().flow_id == flow_id
    assert not UnplacedInvitee.objects.exists()
    assert open_attention() == []


def test_r19_a_parent_that_is_gone_counts_as_the_first(world: World) -> None:
    world.calendly.room("switches", reschedule_copies_tracking=False)
    first = world.book()
    purchase = Purchase(world, world.person(), "", [first])
    purchase.moves(12 * DAYS)
    world.deliver(world.mail()[-1:])

    with responses.RequestsMock() as wire:
        wire.add_passthru(world.calendly.base)
        wire.add_passthru(world.stripe.base)
        gone = {"title": "Resource Not Found", "message": "The resource you requested does not exist."}
        event_id, invitee_id = first["event_id"], first["invitee_id"]
        address = f"{world.calendly.base}/scheduled_events/{event_id}/invitees/{invitee_id}"
        wire.get(address, status=404, json=gone)
        world.work()

    flow = purchase.booking().flow
    assert (flow.direct, flow.hold_ends_at) == (True, None)
    assert Booking.objects.count() == 1
    assert open_attention() == ["DIRECT_BOOKING"]


# R20: not paid yet.


def test_r20_an_unpaid_booking_is_moved_with_its_open_checkout(world: World) -> None:
    purchase = begun(world)
    first_hold = purchase.flow().hold_ends_at
    assert first_hold
    with time_machine.travel(timezone.now() + 20 * MINUTES):
        purchase.moves(12 * DAYS)
        world.hear()
        assert purchase.told(0)[0] == "RESCHEDULED"
        assert purchase.told() == ("PENDING", "PENDING", "ACTIVE")
        hold = purchase.flow().hold_ends_at
        assert hold
        assert hold - first_hold == pytest.approx(20 * MINUTES, abs=MINUTES), "counted anew, once"
        answer = purchase.client.checkout(purchase.booking().id)
        assert answer.json()["sessionId"] == world.sessions()[0]["id"]

        purchase.moves(14 * DAYS)
        world.hear()
        assert purchase.flow().hold_ends_at == hold, "a second move gives no more time"

        purchase.pays()
        world.hear()
    assert purchase.told() == ("CONFIRMED", "PAID", "ACTIVE")
    assert len(world.sessions()) == BookingFlow.objects.count() == 1


# R21: to another event type.


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("tracking_goes_along", [True, False])
def test_r21_moved_to_another_event_type_it_keeps_its_price_and_needs_a_person(
    world: World, mapped: bool, tracking_goes_along: bool
) -> None:
    world.calendly.room("switches", reschedule_copies_tracking=tracking_goes_along)
    purchase = bought(world)
    if not mapped:
        SessionType.objects.filter(name="Code review").delete()
    purchase.moves(12 * DAYS, event_type="code-review")
    world.hear()

    assert purchase.told(0)[0] == "RESCHEDULED"
    assert purchase.told() == ("CONFIRMED", "PAID", "ACTIVE")
    assert purchase.client.status(purchase.booking().id)["sessionType"]["price"] == 120
    assert open_attention(purchase.flow_id) == ["EVENT_TYPE_CHANGED"]
    assert BookingFlow.objects.count() == 1
    assert world.money()["refunded"] == 0

    purchase.moves(14 * DAYS, event_type="consultation")
    world.hear()
    assert purchase.told()[0] == "CONFIRMED"


# R22: while our cancel is under way.


@pytest.mark.parametrize("news_first", [True, False])
def test_r22_the_decision_stands_and_what_the_booking_was_moved_to_is_cancelled(
    world: World, settings: Settings, news_first: bool
) -> None:
    purchase = bought(world, ahead=18 * HOURS)
    base, settings.CALENDLY_API_BASE = settings.CALENDLY_API_BASE, NOWHERE
    assert purchase.cancels() == ("CANCELLATION_PENDING", "COMPLETED")

    purchase.moves(12 * DAYS)
    if news_first:
        world.deliver()
        world.work()
    settings.CALENDLY_API_BASE = base
    world.work()
    world.hear()

    assert purchase.told(0)[0] == "RESCHEDULED"
    assert purchase.told() == ("CANCELLED", "PARTIALLY_REFUNDED", "CANCELLED")
    assert purchase.at_calendly() == ["canceled", "canceled"]
    assert world.money()["refunded"] == PRICE // 2
    assert open_attention() == []


# Moving the date does not dodge the window (LIFECYCLE 4).


@pytest.mark.parametrize(
    ("ahead", "moved_to", "where", "percent"),
    [
        (18 * HOURS, [10 * DAYS], "here", 50),
        (18 * HOURS, [10 * DAYS], "at Calendly", 50),
        (6 * HOURS, [10 * DAYS], "here", 0),
        (10 * DAYS, [18 * HOURS, 10 * DAYS], "at Calendly", 50),
        (10 * DAYS, [12 * DAYS], "here", 100),
        (10 * DAYS, [6 * HOURS], "at Calendly", 0),
    ],
)
def test_the_window_cannot_be_dodged_by_moving_the_date(
    world: World, ahead: timedelta, moved_to: list[timedelta], where: str, percent: int
) -> None:
    purchase = bought(world, ahead=ahead)
    for start in moved_to:
        purchase.moves(start)
    if where == "here":
        world.hear()
        quoted = purchase.client.get(f"/api/scheduling/bookings/{purchase.booking().id}/cancellation-quote").json()
        assert quoted["refundAmount"] == PRICE * percent // 100 / 100
        purchase.cancels()
    else:
        purchase.is_cancelled_at_calendly()
    world.hear()

    assert purchase.flow().decision_percent == percent
    assert world.money()["refunded"] == PRICE * percent // 100
    assert purchase.told()[0] == "CANCELLED"


def test_a_booking_that_was_moved_is_not_cancelled_in_the_name_of_the_new_one(world: World) -> None:
    purchase = bought(world)
    old = purchase.booking().id
    purchase.moves(12 * DAYS)
    world.hear()

    refused = purchase.client.post("/api/scheduling/cancel-booking", bookingId=old)

    details = refused.json()["error"]["details"]
    assert (refused.status_code, details["reason"]) == (409, "rescheduled")
    assert details["rescheduledTo"] == purchase.booking().id
    assert purchase.told()[0] == "CONFIRMED"
    assert purchase.cancels()[0] == "CANCELLED"
    assert purchase.client.post("/api/scheduling/cancel-booking", bookingId=old).status_code == 200, "it has ended"
