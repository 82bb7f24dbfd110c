"""The sweeper, its knocks, and the placing of invitees whose flow is not known (LIFECYCLE 2, R19, R38, R40)."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from bookings.facts import AttentionKind, BookingStatus
from bookings.models import Attention, Booking, BookingFlow, Client, Intent, SessionType, UnplacedInvitee
from bookings.records import record_claim
from payments import acting, placing, tasks
from payments.jobs import ACT, knock
from payments.models import Checkout
from payments.settlement import settled_flow
from payments.tests.rows import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    START,
    T0,
    TOLD,
    ann,
    begun,
    booked,
    cancelled_json,
    event_json,
    forget_jobs,
    hear,
    invitee_json,
    invitee_seen,
    jobs,
    last_line,
    offer,
    opened,
    opening,
    paid,
    session_json,
)
from payments.tests.wire import Failure

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
GONE = Failure(404, "The resource you requested does not exist.", "Resource Not Found")
DOWN = Failure(503, "Down")


def calendly_has(wire: Any, invitee: dict[str, Any] | Failure, name: str = "A", event: Any = None) -> None:
    wire.answers(f"GET /scheduled_events/EV-{name}/invitees/{name}", invitee)
    wire.answers(f"GET /scheduled_events/EV-{name}", event or event_json(name))


def place(**invitee: Any) -> str:
    return placing.place(invitee_seen(**invitee), TOLD)


def sweep(clock: Any, after: Any) -> int:
    clock.shift(after)
    return tasks.sweep_now()


def place_again(clock: Any, after: Any = 0 * SECOND) -> int:
    """Let time pass, and have the worker look at the unplaced invitees that are due; how many."""
    clock.shift(after)
    due = placing.due_unplaced(timezone.now(), 10)
    for invitee_id in due:
        tasks.place(invitee_id)
    return len(due)


def attention() -> list[tuple[str, str]]:
    return sorted(Attention.objects.filter(closed_at=None).values_list("kind", "object_id"))


# What is due.


def test_flows_whose_time_has_come_are_settled(wire, clock):
    flow = booked(price=0)
    clock.move_to(START + HOUR)
    assert tasks.settle_due_flows() == 1
    assert Booking.objects.get().status == BookingStatus.COMPLETED
    assert tasks.settle_due_flows() == 0
    assert last_line(flow).cause_kind == "clock"


def test_a_flow_is_due_at_its_time_and_not_before(clock):
    booked()
    clock.shift(30 * MINUTE - SECOND)
    assert tasks.settle_due_flows() == 0
    clock.shift(SECOND)
    assert tasks.settle_due_flows() == 1
    assert BookingFlow.objects.get().decision_row == "D4"


def test_a_run_is_bounded_and_takes_the_longest_due_first(clock, monkeypatch):
    session_type = offer(price=0)
    for name in ("A", "B", "C"):
        hear(begun(session_type), invitee_seen(invitee_id=name))
        clock.shift(SECOND)
    times = dict(zip("ABC", (T0 + DAY, T0 + HOUR, T0 + 2 * HOUR), strict=True))
    for name, at in times.items():
        BookingFlow.objects.filter(bookings__invitee_id=name).update(wake_at=at)
    monkeypatch.setattr(tasks, "MOST_PER_SWEEP", 2)
    clock.move_to(START + DAY)
    assert tasks.settle_due_flows() == 2
    completed = Booking.objects.filter(status=BookingStatus.COMPLETED)
    assert set(completed.values_list("invitee_id", flat=True)) == {"B", "C"}
    assert tasks.settle_due_flows() == 1


def test_a_flow_that_cannot_be_settled_stops_no_other(clock):
    session_type = offer(price=0)
    flows = [begun(session_type), begun(session_type)]
    for flow, name in zip(flows, "AB", strict=True):
        hear(flow, invitee_seen(invitee_id=name))
    BookingFlow.objects.filter(pk=flows[0].pk).update(policy_tiers=[{"nonsense": 1}], wake_at=T0)
    clock.move_to(START + HOUR)
    assert tasks.settle_due_flows() == 2
    assert Booking.objects.get(invitee_id="B").status == BookingStatus.COMPLETED


def test_calls_that_are_due_are_made_the_longest_due_first(wire, clock):
    flow = booked()
    wire.answers("POST /v1/checkout/sessions", session_json(opening(flow)))
    assert sweep(clock, MINUTE) == 1
    assert Checkout.objects.get().flow_id == flow.id
    assert tasks.sweep_now() == 0


def test_a_call_that_fails_in_a_new_way_stops_no_other(wire, clock):
    session_type = offer()
    flows = [begun(session_type), begun(session_type)]
    for flow, name in zip(flows, "AB", strict=True):
        hear(flow, invitee_seen(invitee_id=name))
    Intent.objects.filter(flow=flows[0]).update(expires_at=None, next_at=T0 - HOUR)
    wire.answers("POST /v1/checkout/sessions", session_json(opening(flows[1])))
    assert sweep(clock, MINUTE) == 2
    assert Checkout.objects.get().flow_id == flows[1].id


def test_what_is_due_says_no_more_than_it_is_asked_for(clock):
    session_type = offer()
    for name in ("A", "B", "C"):
        hear(begun(session_type), invitee_seen(invitee_id=name))
    assert len(acting.due_intents(T0, 2)) == 2
    for name in ("X", "Y", "Z"):
        UnplacedInvitee.objects.create(invitee_id=name, event_id=f"EV-{name}", next_at=T0)
    assert len(placing.due_unplaced(T0, 2)) == 2


@pytest.mark.django_db(transaction=True)
def test_the_sweeper_knocks_once_while_a_knock_waits(clock):
    forget_jobs()
    flow = booked()
    UnplacedInvitee.objects.create(invitee_id="X", event_id="EV-X", next_at=T0)
    for _ in range(3):
        tasks.sweep(timestamp=0)
    assert jobs() == [
        ("payments.act", {"intent_id": opening(flow).id}),  # with the row
        ("payments.act", {"intent_id": opening(flow).id}),
        ("payments.place", {"invitee_id": "X"}),
    ]
    knock(ACT, "it_OTHER", intent_id="it_OTHER")
    assert jobs()[-1] == ("payments.act", {"intent_id": "it_OTHER"})


# Placing.


def test_the_flow_id_in_the_tracking_says_whose_it_is():
    flow = begun()
    assert place(flow_id=flow.id) == flow.id
    assert Booking.objects.get().flow_id == flow.id


def test_what_store_event_said_says_whose_it_is():
    flow = begun()
    begun(flow.session_type)
    with settled_flow(flow.id, TOLD) as locked:
        record_claim(locked, event_id="EV-A", invitee_id="A", start=None)
    assert place() == flow.id


def test_a_flow_of_another_event_type_is_not_joined_whatever_the_tracking_says(clock, wire):
    other, mapped = begun(offer(event_type_id="ET2")), offer()
    assert place(flow_id=other.id) == ""
    calendly_has(wire, invitee_json(flow_id=other.id))
    assert place_again(clock, 2 * MINUTE) == 1
    assert Booking.objects.get().flow.session_type == mapped
    assert Booking.objects.get().flow_id != other.id


def test_an_event_type_that_is_not_mapped_is_none_of_our_business():
    offer(event_type_id="ET2")
    with pytest.raises(placing.NotOurs):
        place()
    assert (Booking.objects.count(), UnplacedInvitee.objects.count()) == (0, 0)


def test_an_invitee_without_a_flow_waits_two_minutes_for_store_event_and_then_goes_by_its_email(wire, clock):
    flow = begun()
    assert place() == ""
    assert UnplacedInvitee.objects.get().next_at == T0 + 2 * MINUTE
    assert place_again(clock, 2 * MINUTE - SECOND) == 0
    calendly_has(wire, invitee_json(email="Ann@Example.com"))
    assert place_again(clock, SECOND) == 1
    assert Booking.objects.get().flow_id == flow.id
    assert UnplacedInvitee.objects.count() == 0
    assert attention() == []


@pytest.mark.parametrize("why", ["two wait", "it is booked", "it is over", "it came later", "of another type"])
def test_the_email_decides_only_if_exactly_one_flow_waits(wire, clock, why):
    flow = begun()
    if why == "two wait":
        begun(flow.session_type)
    elif why == "it is booked":
        hear(flow, invitee_seen(invitee_id="Z"))
    elif why == "it is over":
        BookingFlow.objects.update(expires_at=T0 - SECOND)
    elif why == "it came later":
        BookingFlow.objects.update(created_at=T0 + MINUTE)
    else:
        BookingFlow.objects.update(session_type=offer(event_type_id="ET2"))
    before = set(BookingFlow.objects.values_list("pk", flat=True))
    place()
    calendly_has(wire, invitee_json())
    place_again(clock, 2 * MINUTE)
    placed = Booking.objects.get(invitee_id="A").flow
    assert (placed.pk in before, placed.direct) == (False, True)


def test_a_direct_booking_has_a_flow_of_its_own_and_the_client_of_the_account(wire, clock):
    """R40"""
    offer()
    client = ann()
    place()
    calendly_has(wire, invitee_json())
    place_again(clock, 2 * MINUTE)
    flow = BookingFlow.objects.get()
    assert (flow.direct, flow.client, flow.hold_ends_at) == (True, client, None)
    assert attention() == [(AttentionKind.DIRECT_BOOKING, flow.id)]
    clock.shift(3 * DAY)
    tasks.settle_due_flows()
    assert BookingFlow.objects.get().decision_row == "", "it is never cancelled by itself"
    opened(flow)
    paid(flow)
    assert attention() == []


@pytest.mark.parametrize("who", ["nobody", "without an account", "locked out", "two of them"])
def test_a_direct_booking_of_somebody_unknown_is_shown_to_a_person(wire, clock, who):
    """R40"""
    offer()
    if who == "without an account":
        Client.objects.create(email="ann@example.com")
    if who == "locked out":
        User.objects.filter(client=ann()).update(is_active=False)
    if who == "two of them":
        ann()
        Client.objects.create(email="ann@example.com", user=User.objects.create(username="ann2"))
    place()
    calendly_has(wire, invitee_json())
    place_again(clock, 2 * MINUTE)
    flow = BookingFlow.objects.get()
    assert (flow.direct, flow.client) == (True, None)
    assert attention() == [(AttentionKind.DIRECT_BOOKING, flow.id)]


def test_what_was_booked_before_the_event_type_was_ours_is_not_ours(wire, clock):
    offer(active_since=T0 + SECOND)
    place()
    calendly_has(wire, invitee_json())
    place_again(clock, 2 * MINUTE)
    assert (BookingFlow.objects.count(), UnplacedInvitee.objects.count()) == (0, 0)


def test_a_link_that_is_used_twice_gives_the_second_a_flow_of_its_own():
    """R38"""
    flow = begun()
    place(flow_id=flow.id)
    SessionType.objects.update(price_minor=15_000)
    second_id = place(invitee_id="B", flow_id=flow.id)
    second = BookingFlow.objects.get(pk=second_id)
    assert (second.direct, second.client, second.price_minor) == (False, flow.client, 15_000)
    assert second.hold_ends_at == T0 + 30 * MINUTE
    third = BookingFlow.objects.get(pk=place(invitee_id="C", flow_id=flow.id, email="bob@example.com"))
    assert (third.direct, third.client) == (True, None)
    assert place(invitee_id="B", flow_id=flow.id) == second_id, "heard again"


def test_a_reschedule_stays_in_the_flow_whoever_names_whom():
    flow = begun()
    place(flow_id=flow.id)
    assert place(invitee_id="B", old="A") == flow.id
    assert placing.place(invitee_seen(cancelled_json("B", new="C", rescheduled=True)), TOLD) == flow.id
    assert place(invitee_id="C") == flow.id, "the edge is known"


def test_the_ones_before_an_unplaced_invitee_are_read_back_until_a_known_one(wire, clock):
    """R19: C comes first and has no flow id; B is unknown, A is of the flow."""
    flow = begun()
    assert place(invitee_id="C", old="B") == ""
    assert UnplacedInvitee.objects.get().next_at == T0, "at once"
    place(flow_id=flow.id)
    calendly_has(wire, invitee_json("C", old="B"), "C")
    calendly_has(wire, cancelled_json("B", old="A", new="C", rescheduled=True), "B")
    assert place_again(clock) == 1
    assert {one.invitee_id: one.status for one in flow.bookings.all()} == {
        "A": BookingStatus.RESCHEDULED,
        "B": BookingStatus.RESCHEDULED,
        "C": BookingStatus.PENDING,
    }
    assert UnplacedInvitee.objects.count() == 0


def test_the_first_of_a_chain_says_whose_it_is_by_its_tracking(wire, clock):
    flow = begun()
    place(invitee_id="B", old="A")
    calendly_has(wire, invitee_json("B", old="A"), "B")
    calendly_has(wire, cancelled_json("A", flow_id=flow.id, new="B", rescheduled=True), "A")
    place_again(clock)
    assert {one.invitee_id for one in flow.bookings.all()} == {"A", "B"}


def test_a_parent_that_is_gone_counts_as_the_first(wire, clock):
    offer()
    client = ann()
    place(invitee_id="B", old="A")
    calendly_has(wire, invitee_json("B", old="A"), "B")
    calendly_has(wire, GONE, "A")
    place_again(clock)
    flow = BookingFlow.objects.get()
    assert (flow.direct, flow.client, flow.bookings.get().invitee_id) == (True, client, "B")


def test_while_calendly_is_away_the_invitee_waits_longer_each_time_and_then_a_person_is_told(wire, clock):
    offer()
    place()
    calendly_has(wire, DOWN)
    pauses = []
    for _ in range(8):
        row = UnplacedInvitee.objects.get()
        clock.move_to(row.next_at)
        place_again(clock)
        pauses.append((UnplacedInvitee.objects.get().next_at - row.next_at) // MINUTE)
    assert pauses == [2, 4, 2, 16, 32, 60, 60, 60], "once sooner: ten minutes after the first news a person is told"
    assert attention() == [(AttentionKind.UNPLACED_INVITEE, "A")]
    calendly_has(wire, invitee_json())
    clock.move_to(UnplacedInvitee.objects.get().next_at)
    place_again(clock)
    assert (UnplacedInvitee.objects.count(), Booking.objects.count()) == (0, 1)
    assert (AttentionKind.UNPLACED_INVITEE, "A") not in attention()


def test_what_was_told_of_an_invitee_before_it_could_be_placed_is_not_forgotten(wire, clock):
    """R18: the cancellation comes first and fits nowhere; then other news, older than it, says whose the invitee is."""
    flow = begun()
    calendly_has(wire, cancelled_json())
    assert placing.place(invitee_seen(cancelled_json()), TOLD) == ""
    assert place(flow_id=flow.id) == flow.id
    assert Booking.objects.get().status == BookingStatus.PENDING
    place_again(clock, 2 * MINUTE)
    assert Booking.objects.get().status == BookingStatus.CANCELLED
    assert UnplacedInvitee.objects.count() == 0


def test_what_is_told_while_an_unplaced_invitee_is_read_is_read_once_more(wire, clock):
    begun()
    place()

    def cancelled_meanwhile():
        placing.place(invitee_seen(cancelled_json()), TOLD)
        return invitee_json()

    calendly_has(wire, invitee_json())
    wire.answers("GET /scheduled_events/EV-A/invitees/A", cancelled_meanwhile, cancelled_json())
    place_again(clock, 2 * MINUTE)
    place_again(clock, 2 * MINUTE)
    assert Booking.objects.get().status == BookingStatus.CANCELLED
    assert UnplacedInvitee.objects.count() == 0


def test_what_the_news_lacks_is_read_from_calendly(wire):
    flow = begun()
    bare = {"invitee_id": "A", "flow_id": flow.id, "created_at": None, "event": event_json(event_type=None)}
    calendly_has(wire, invitee_json())
    assert place(**bare) == flow.id
    one = Booking.objects.get()
    assert (one.event_type_id, one.start, one.invitee_created_at) == ("ET1", START, T0)


def test_a_cancel_that_does_not_say_who_cancelled_is_read(wire):
    flow = begun()
    bare = invitee_json(flow_id=flow.id, status="canceled", cancellation={"canceled_by": "Bo"})
    calendly_has(wire, cancelled_json(by="host"))
    assert placing.place(invitee_seen(bare), TOLD) == flow.id
    assert Booking.objects.get().canceler_type == "host"
    assert BookingFlow.objects.get().decision_row == "D2"
