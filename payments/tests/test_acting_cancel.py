"""Cancelling the scheduled event (LIFECYCLE 6): read, cancel, read, for Calendly knows no idempotency keys."""

import pytest
from django.utils import timezone

from bookings.facts import AttentionKind, BookingStatus, CalendlyStatus, IntentKind, Outcome, Party
from bookings.models import Attention, Booking, BookingFlow, Intent
from payments import acting
from payments.tests.rows import (
    HOUR,
    MINUTE,
    SECOND,
    START,
    T0,
    ask_to_cancel,
    booked,
    cancelled_json,
    event_json,
    hear,
    invitee_json,
    invitee_seen,
    only,
    time_passes,
)
from payments.tests.wire import Failure

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
EVENT, CANCEL, INVITEE = (
    "GET /scheduled_events/EV-A",
    "POST /scheduled_events/EV-A/cancellation",
    "GET /scheduled_events/EV-A/invitees/A",
)
DONE: dict[str, object] = {}
ALREADY = Failure(403, "Event is already canceled", "Permission Denied")
PAST = Failure(403, "You can not cancel an event in the past", "Permission Denied")
FORBIDDEN = Failure(403, "You are not allowed to do this", "Permission Denied")
GONE = Failure(404, "The resource you requested does not exist.", "Resource Not Found")


@pytest.fixture
def flow() -> BookingFlow:
    """A free booking, so that Stripe has no part in it, which staff have cancelled."""
    flow = booked(price=0)
    ask_to_cancel(flow)
    return flow


def the_cancel(flow: BookingFlow) -> Intent:
    return only(flow, IntentKind.CANCEL_EVENT)


def by_us(flow: BookingFlow, **fields: object) -> dict[str, object]:
    """The invitee as Calendly has it after our cancel."""
    reason = f"This booking is cancelled. Reference: {the_cancel(flow).id}"
    return cancelled_json("A", timezone.now(), by="host", reason=reason, **fields)


def state(flow: BookingFlow) -> tuple[str, str, bool]:
    one = Booking.objects.get(flow=flow)
    return one.status, one.calendly_status, one.cancellation_pending


def attention(flow: BookingFlow) -> list[str]:
    return sorted(Attention.objects.filter(flow=flow, closed_at=None).values_list("kind", flat=True))


ENDED = (BookingStatus.CANCELLED, CalendlyStatus.CANCELLED, False)


def test_the_event_is_read_cancelled_and_read_again(wire, flow):
    assert state(flow)[1:] == (CalendlyStatus.ACTIVE, True)
    wire.answers(EVENT, event_json())
    wire.answers(CANCEL, DONE)
    wire.answers(INVITEE, by_us(flow))
    acting.act(the_cancel(flow).id)
    assert [call.does for call in wire.calls] == [EVENT, CANCEL, INVITEE]
    assert the_cancel(flow).outcome == Outcome.DONE
    assert state(flow) == ENDED


def test_the_reason_ends_in_our_reference(wire, flow):
    wire.answers(EVENT, event_json())
    wire.answers(CANCEL, DONE)
    wire.answers(INVITEE, by_us(flow))
    acting.act(the_cancel(flow).id)
    assert wire.made(CANCEL)[0].body["reason"].endswith(f" {the_cancel(flow).id}")


def test_a_cancelled_event_is_not_cancelled_again(wire, flow):
    wire.answers(EVENT, event_json(status="canceled"))
    wire.answers(INVITEE, cancelled_json())
    acting.act(the_cancel(flow).id)
    assert [call.does for call in wire.calls] == [EVENT, INVITEE]
    assert state(flow) == ENDED


@pytest.mark.parametrize("refusal", [ALREADY])
def test_one_that_somebody_cancels_at_the_same_moment_is_done(wire, flow, refusal):
    wire.answers(EVENT, event_json())
    wire.answers(CANCEL, refusal)
    wire.answers(INVITEE, cancelled_json())
    acting.act(the_cancel(flow).id)
    assert (the_cancel(flow).outcome, state(flow), attention(flow)) == (Outcome.DONE, ENDED, [])


def test_one_that_has_begun_is_done_with_a_note(wire, flow):
    wire.answers(EVENT, event_json())
    wire.answers(CANCEL, PAST)
    wire.answers(INVITEE, invitee_json())
    acting.act(the_cancel(flow).id)
    intent = the_cancel(flow)
    assert (intent.outcome, intent.note) == (Outcome.DONE, "It has started or is past")


@pytest.mark.parametrize("gone_at", [EVENT, CANCEL, INVITEE])
def test_one_that_calendly_does_not_know_any_more_is_done(wire, flow, gone_at):
    wire.answers(EVENT, event_json())
    wire.answers(CANCEL, DONE)
    wire.answers(INVITEE, by_us(flow))
    wire.answers(gone_at, GONE)
    acting.act(the_cancel(flow).id)
    assert (the_cancel(flow).outcome, state(flow)) == (Outcome.DONE, ENDED)
    assert Booking.objects.get().gone


def test_an_event_with_other_invitees_is_left_to_a_person(wire, flow, clock):
    wire.answers(EVENT, event_json(active=2))
    acting.act(the_cancel(flow).id)
    assert [call.does for call in wire.calls] == [EVENT]
    assert (the_cancel(flow).outcome, attention(flow)) == (Outcome.WITHDRAWN, [AttentionKind.SHARED_EVENT])
    clock.shift(HOUR)
    time_passes(flow)
    assert Intent.objects.filter(flow=flow, outcome=Outcome.OPEN).count() == 0


def test_a_400_with_a_reason_is_asked_once_more_without(wire, flow):
    wire.answers(EVENT, event_json())
    wire.answers(CANCEL, Failure(400, "The supplied parameters are invalid.", "Invalid Argument"), DONE)
    wire.answers(INVITEE, cancelled_json(by="host"))
    acting.act(the_cancel(flow).id)
    assert [call.body for call in wire.made(CANCEL)][1:] == [{}]
    assert the_cancel(flow).outcome == Outcome.DONE
    assert state(flow) == ENDED
    assert BookingFlow.objects.get().decision_row == "D1"


def test_a_clear_refusal_ends_the_call_and_tells_a_person(wire, flow, clock):
    wire.answers(EVENT, event_json())
    wire.answers(CANCEL, FORBIDDEN)
    acting.act(the_cancel(flow).id)
    assert the_cancel(flow).outcome == Outcome.REJECTED
    assert set(attention(flow)) == {AttentionKind.CALL_REFUSED}
    clock.shift(HOUR)
    time_passes(flow)
    assert len(wire.made(CANCEL)) == 1
    assert the_cancel(flow).outcome == Outcome.REJECTED


@pytest.mark.parametrize("dies_at", [EVENT, CANCEL, INVITEE])
def test_a_worker_that_dies_anywhere_is_followed_by_one_that_reads_first(wire, flow, clock, dies_at):
    wire.answers(EVENT, event_json())
    wire.answers(CANCEL, DONE)
    wire.answers(INVITEE, by_us(flow))
    wire.answers(dies_at, SystemExit(9))
    with pytest.raises(SystemExit):
        acting.act(the_cancel(flow).id)
    clock.shift(acting.LEASE)
    was_cancelled = dies_at == INVITEE
    wire.answers(EVENT, event_json(status="canceled" if was_cancelled else "active"))
    wire.answers(CANCEL, DONE)
    wire.answers(INVITEE, by_us(flow))
    acting.act(the_cancel(flow).id)
    assert (the_cancel(flow).outcome, state(flow)) == (Outcome.DONE, ENDED)
    assert len(wire.made(CANCEL)) == (2 if dies_at == CANCEL else 1)


def test_a_cancel_that_went_through_is_not_undone_by_a_rate_limit_on_reading_back(wire, flow, clock):
    def a_moment_later():
        clock.shift(SECOND)
        return event_json()

    wire.answers(EVENT, a_moment_later)
    wire.answers(CANCEL, DONE)
    wire.answers(INVITEE, Failure(429, "Too many", headers={"X-RateLimit-Reset": "30"}))
    acting.act(the_cancel(flow).id)
    intent = the_cancel(flow)
    assert (intent.outcome, intent.next_at) == (Outcome.OPEN, T0 + 31 * SECOND)
    assert intent.started_at == T0, "it was done, so it is not to be withdrawn"


def test_the_lease_is_kept_before_each_further_call(wire, flow, clock):
    def slow(answer):
        def said():
            lease_until = the_cancel(flow).lease_until
            assert lease_until == timezone.now() + acting.LEASE
            clock.shift(MINUTE)
            return answer

        return said

    wire.answers(EVENT, slow(event_json()))
    wire.answers(CANCEL, slow(DONE))
    wire.answers(INVITEE, slow(cancelled_json(by="host")))
    acting.act(the_cancel(flow).id)
    assert the_cancel(flow).outcome == Outcome.DONE


def test_our_cancel_may_be_told_of_before_its_answer_comes(wire, flow):
    def meanwhile():
        hear(flow, invitee_seen(by_us(flow)))
        return DONE

    wire.answers(EVENT, event_json())
    wire.answers(CANCEL, meanwhile)
    wire.answers(INVITEE, by_us(flow))
    acting.act(the_cancel(flow).id)
    row = BookingFlow.objects.get()
    assert (row.decision_row, row.decision_by, state(flow)) == ("D1", Party.STAFF, ENDED)


def test_our_own_cancel_is_not_the_hosts_even_if_its_decision_was_lost():
    flow = booked(price=0)
    hear(flow, invitee_seen(cancelled_json(by="host", reason="Cancelled. Reference: it_0123456789ABCDEFGHJKMNPQRS.")))
    assert BookingFlow.objects.get().decision_row == ""
    assert attention(flow) == [AttentionKind.UNEXPLAINED_CANCEL]


def test_a_host_who_cancels_in_words_of_her_own_ends_the_flow():
    flow = booked(price=0)
    hear(flow, invitee_seen(cancelled_json(by="host", reason="it_0123456789ABCDEFGHJKMNPQRS was not for me")))
    assert BookingFlow.objects.get().decision_row == "D2"


def test_a_client_who_moves_the_date_while_we_cancel_is_cancelled_there_too(wire, flow):
    """R22"""
    moved = cancelled_json("A", by="invitee", rescheduled=True, new="B")
    wire.answers(EVENT, event_json(status="canceled"))
    wire.answers(INVITEE, moved)
    acting.act(the_cancel(flow).id)
    hear(flow, invitee_seen(old="A", invitee_id="B"))
    second = Intent.objects.get(flow=flow, kind=IntentKind.CANCEL_EVENT, outcome=Outcome.OPEN)
    assert second.target == "EV-B"
    assert {one.invitee_id: one.status for one in Booking.objects.all()} == {
        "A": BookingStatus.RESCHEDULED,
        "B": BookingStatus.CONFIRMED,  # free, and on its way out
    }


def test_a_cancel_that_did_not_show_is_looked_at_by_a_person_after_a_while(wire, flow, clock):
    wire.answers(EVENT, event_json())
    wire.answers(CANCEL, DONE)
    wire.answers(INVITEE, invitee_json())  # as before
    acting.act(the_cancel(flow).id)
    assert (the_cancel(flow).outcome, attention(flow)) == (Outcome.DONE, [])
    assert BookingFlow.objects.get().wake_at == T0 + 10 * MINUTE
    clock.shift(10 * MINUTE)
    time_passes(flow)
    assert attention(flow) == [AttentionKind.CANCEL_UNCONFIRMED]
    hear(flow, invitee_seen(by_us(flow)))
    assert (attention(flow), state(flow)) == ([], ENDED)


def test_a_session_that_has_begun_is_not_cancelled(wire, flow, clock):
    clock.move_to(START)
    acting.act(the_cancel(flow).id)
    assert (the_cancel(flow).outcome, wire.calls) == (Outcome.WITHDRAWN, [])
