"""What Calendly and the client say of a booking, merged: twice, late and in every order it ends the same."""

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, transaction

from bookings.facts import BookingStatus
from bookings.invitees import Invitee
from bookings.locked import LockedFlow, values
from bookings.models import Booking, BookingFlow, RescheduleEdge
from bookings.records import (
    record_claim,
    record_client_words,
    record_event,
    record_gone,
    record_invitee,
    record_no_show,
    record_reschedule,
)
from payments.settlement import settled_flow
from payments.tests.rows import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    START,
    T0,
    TOLD,
    begun,
    cancelled_json,
    event_json,
    event_seen,
    hear,
    invitee_json,
    invitee_seen,
)

pytestmark = pytest.mark.django_db
News = Callable[[LockedFlow], object]
OURS = {"id", "flow_id", "created_at", "left_at", "updated_at"}
"""Our own ids, and our own times, which say when we heard of a thing."""


@pytest.fixture(autouse=True)
def _clock():
    with time_machine.travel(T0, tick=False):
        yield


@pytest.fixture
def flow() -> BookingFlow:
    return begun()


def bookings(*, left_out: set[str] = OURS) -> list[dict[str, object]]:
    rows = Booking.objects.order_by("invitee_id")
    return [{name: value for name, value in values(row).items() if name not in left_out} for row in rows]


def edges() -> set[tuple[str, str]]:
    return set(RescheduleEdge.objects.values_list("old_invitee_id", "new_invitee_id"))


def after(flow: BookingFlow, news: Sequence[News]) -> tuple[list[dict[str, object]], set[tuple[str, str]]]:
    """What is stored after this news, a second between each; nothing of it stays."""
    with transaction.atomic():
        with settled_flow(flow.id, TOLD) as locked:
            for one in news:
                one(locked)
                locked.now += SECOND
        found = bookings(), edges()
        transaction.set_rollback(True)
    return found


def assert_order_does_not_matter(flow: BookingFlow, *news: News) -> dict[str, dict[str, Any]]:
    """The bookings in the end, by invitee."""
    ends = after(flow, news)
    for order in permutations(news):
        assert after(flow, order) == ends
    for order in (news, news[::-1]):
        assert after(flow, [*order, *order]) == ends
    return {str(one["invitee_id"]): one for one in ends[0]}


def told(invitee: Invitee) -> News:
    return lambda locked: record_invitee(locked, invitee)


def claim(invitee_id: str) -> Callable[[LockedFlow], Booking]:
    return lambda locked: record_claim(locked, event_id=f"EV-{invitee_id}", invitee_id=invitee_id, start=START)


# Order.


def test_a_chain_of_reschedules_ends_the_same_in_every_order(flow):
    """R18: A, moved to B, moved to C, which stands."""
    ends = assert_order_does_not_matter(
        flow,
        told(invitee_seen(invitee_id="A")),
        told(invitee_seen(cancelled_json("A", new="B", rescheduled=True))),
        told(invitee_seen(cancelled_json("B", T0 + 2 * HOUR, old="A", new="C", rescheduled=True))),
        told(invitee_seen(invitee_id="C", old="B")),
    )
    assert {name: one["status"] for name, one in ends.items()} == {
        "A": BookingStatus.RESCHEDULED,
        "B": BookingStatus.RESCHEDULED,
        "C": BookingStatus.PENDING,
    }


def test_created_and_cancelled_end_the_same_in_every_order(flow):
    created, cancelled = invitee_seen(), invitee_seen(cancelled_json(by="host", reason="I am ill"))
    ends = assert_order_does_not_matter(flow, told(created), told(cancelled), claim("A"))
    assert (ends["A"]["status"], ends["A"]["cancel_reason"]) == (BookingStatus.CANCELLED, "I am ill")
    assert (ends["A"]["cancelled_at"], ends["A"]["canceler_type"]) == (T0 + HOUR, "host")


def test_what_one_report_lacks_another_fills_in_whatever_order_they_come(flow):
    bare = invitee_seen(
        invitee_json(name="", timezone=None, created_at=None, tracking={"utm_source": "news"}),
        event_json(location={"type": "zoom"}, event_type=None, start_time=None, end_time=None),
    )
    whole = invitee_seen(
        invitee_json(text_reminder_number="+49 30 1", tracking={"utm_source": "news", "utm_term": "x"}),
        event_json(location={"type": "zoom", "join_url": "https://zoom.example/1"}),
    )
    ends = assert_order_does_not_matter(flow, told(bare), told(whole))["A"]
    assert ends["location"] == {"type": "zoom", "join_url": "https://zoom.example/1"}
    assert ends["tracking"] == {"utm_source": "news", "utm_term": "x"}
    assert (ends["name"], ends["start"], ends["invitee_created_at"]) == ("Ann Client", START, T0)


def test_who_cancelled_is_filled_in_if_the_first_report_did_not_know(flow):
    nobody = invitee_seen(invitee_json(status="canceled", cancellation={"created_at": "2026-11-23T13:00:00.000000Z"}))
    host = invitee_seen(cancelled_json(by="host", reason="I am ill"))
    ends = assert_order_does_not_matter(flow, told(nobody), told(host))["A"]
    assert (ends["canceler_type"], ends["cancelled_by"], ends["cancel_reason"]) == ("host", "Somebody", "I am ill")


def test_a_reschedule_is_known_from_either_end(flow):
    from_the_old = [
        told(invitee_seen(cancelled_json("A", new="B", rescheduled=True))),
        told(invitee_seen(invitee_id="B")),
    ]
    from_the_new = [
        told(invitee_seen(cancelled_json("A", rescheduled=True))),
        told(invitee_seen(invitee_id="B", old="A")),
    ]
    assert after(flow, from_the_old) == after(flow, from_the_new)
    assert after(flow, from_the_old)[1] == {("A", "B")}


def test_one_report_of_a_reschedule_is_enough_whatever_the_others_say(flow):
    moved, plain = invitee_seen(cancelled_json(rescheduled=True)), invitee_seen(cancelled_json())
    ends = assert_order_does_not_matter(flow, told(moved), told(plain))["A"]
    assert (ends["rescheduled"], ends["status"]) == (True, BookingStatus.RESCHEDULED)


def test_the_latest_no_show_by_calendlys_clock_counts(flow):
    hear(flow, invitee_seen())

    def no_show(at: Any, *, came: bool) -> News:
        return lambda locked: record_no_show(locked, "A", no_show=not came, at=at)

    end = START + HOUR
    ends = assert_order_does_not_matter(
        flow, no_show(end, came=False), no_show(end + MINUTE, came=True), no_show(end + 2 * MINUTE, came=False)
    )
    assert (ends["A"]["no_show"], ends["A"]["no_show_at"]) == (True, end + 2 * MINUTE)
    taken_back = after(flow, [no_show(end + MINUTE, came=True), no_show(end, came=False)])
    assert taken_back[0][0]["no_show"] is False


def test_a_no_show_of_somebody_unknown_changes_nothing(flow):
    with settled_flow(flow.id, TOLD) as locked:
        record_no_show(locked, "A", no_show=True, at=START)
    assert bookings() == []


# Claims.


def test_calendly_takes_over_the_booking_that_the_client_spoke_of(flow):
    """R1"""
    with settled_flow(flow.id, TOLD) as locked:
        claimed = claim("A")(locked)
    seen = hear(flow, invitee_seen())
    assert seen.pk == claimed.pk
    assert (seen.invitee_id, seen.event_id, seen.claimed_invitee_id) == ("A", "EV-A", "A")


def test_a_claim_that_was_wrong_is_taken_over_all_the_same(flow):
    with settled_flow(flow.id, TOLD) as locked:
        claimed = claim("X")(locked)
    assert hear(flow, invitee_seen()).pk == claimed.pk
    assert Booking.objects.count() == 1


def test_a_claim_says_nothing_that_counts(flow):
    with settled_flow(flow.id, TOLD) as locked:
        claim("A")(locked)
    one = Booking.objects.get()
    assert (one.invitee_id, one.event_id, one.start, one.claimed_start) == (None, "", None, START)


def test_a_claim_keeps_the_start_that_an_earlier_one_told(flow):
    with settled_flow(flow.id, TOLD) as locked:
        claim("A")(locked)
        record_claim(locked, event_id="EV-A", invitee_id="A", start=None)
    assert Booking.objects.get().claimed_start == START


def test_a_second_claim_takes_the_place_of_the_first(flow):
    with settled_flow(flow.id, TOLD) as locked:
        claim("A")(locked)
        claim("B")(locked)
    assert Booking.objects.get().claimed_invitee_id == "B"


def test_phone_and_notes_are_kept_and_nothing_is_forgotten_for_an_empty_one(flow):
    with settled_flow(flow.id, TOLD) as locked:
        record_client_words(locked, phone="+49 30 1", notes="")
        record_client_words(locked, phone="", notes="A plan")
    row = BookingFlow.objects.get()
    assert (row.client_phone, row.client_notes) == ("+49 30 1", "A plan")


# Twice.


def test_hearing_a_thing_twice_leaves_no_second_trace(flow):
    news = [
        told(invitee_seen(invitee_id="A")),
        told(invitee_seen(cancelled_json("A", new="B", rescheduled=True))),
        told(invitee_seen(cancelled_json("B", T0 + DAY, old="A"))),
        claim("B"),
        lambda locked: record_event(locked, event_seen("B", active=2)),
        lambda locked: record_gone(locked, "EV-B"),
        lambda locked: record_no_show(locked, "B", no_show=True, at=START),
        lambda locked: record_client_words(locked, phone="1", notes="2"),
    ]
    for one in news:
        with settled_flow(flow.id, TOLD) as locked:
            one(locked)
    row = BookingFlow.objects.get()
    before = (bookings(left_out=set()), values(row), row.timeline.count(), row.intents.count())
    with time_machine.travel(T0 + 5 * MINUTE, tick=False):
        for one in news[4:]:
            with settled_flow(flow.id, TOLD) as locked:
                one(locked)
        for one in news[:4]:
            with settled_flow(flow.id, TOLD) as locked:
                one(locked)
    row = BookingFlow.objects.get()
    assert (bookings(left_out=set()), values(row), row.timeline.count(), row.intents.count()) == before


def test_an_edge_joins_two_and_is_kept_once(flow):
    with settled_flow(flow.id, TOLD) as locked:
        for _ in range(2):
            record_reschedule(locked, "A", "B")
            record_reschedule(locked, "A", "A")
    assert edges() == {("A", "B")}


# What reading shows.


def test_an_event_with_several_invitees_is_shared_until_it_is_read_with_one(flow):
    hear(flow, invitee_seen(event=event_json(active=2)))
    assert Booking.objects.get().shared
    hear(flow, invitee_seen())
    assert Booking.objects.get().shared, "an old report does not take it back"
    with settled_flow(flow.id, TOLD) as locked:
        record_event(locked, event_seen(active=1))
    assert not Booking.objects.get().shared


def test_only_the_booking_in_the_event_is_gone(flow):
    hear(flow, invitee_seen())
    hear(flow, invitee_seen(invitee_id="B", old="A"))
    with settled_flow(flow.id, TOLD) as locked:
        record_gone(locked, "EV-B")
    assert set(Booking.objects.values_list("invitee_id", "gone")) == {("A", False), ("B", True)}


def test_when_we_first_heard_that_a_booking_was_given_up_is_kept(flow):
    hear(flow, invitee_seen())
    with time_machine.travel(T0 + MINUTE, tick=False):
        hear(flow, invitee_seen(invitee_id="B", old="A"))
    with time_machine.travel(T0 + 2 * MINUTE, tick=False):
        hear(flow, invitee_seen(cancelled_json("A", new="B", rescheduled=True)))
    assert set(Booking.objects.values_list("invitee_id", "left_at")) == {("A", T0 + MINUTE), ("B", None)}


def test_the_same_invitee_cannot_be_in_two_flows(flow):
    hear(flow, invitee_seen())
    other = begun(flow.session_type)
    with pytest.raises(IntegrityError), transaction.atomic():
        hear(other, invitee_seen())
    assert Booking.objects.count() == 1
