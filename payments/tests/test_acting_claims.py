"""Who may make a call, when, and with which key (LIFECYCLE 6, "Claim"). Shown on opening a checkout."""

import pytest
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from bookings.facts import Outcome
from bookings.models import BookingFlow, Intent
from payments import acting
from payments.models import Checkout
from payments.tests.rows import (
    HOUR,
    MINUTE,
    SECOND,
    T0,
    ask_to_cancel,
    booked,
    forget_jobs,
    jobs,
    listing,
    opening,
    session_json,
)
from payments.tests.wire import Failure, Wire

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
OPEN, LIST, READ = "POST /v1/checkout/sessions", "GET /v1/checkout/sessions", "GET /v1/checkout/sessions/cs_test_1"
DOWN = Failure(503, "Down")
LIMITED = Failure(429, "Slow down", headers={"Retry-After": "90"})
SAVED_FAILURE = Failure(500, "Something failed", headers={"Idempotent-Replayed": "true"})


@pytest.fixture
def flow() -> BookingFlow:
    """A flow whose checkout is due."""
    return booked()


def answers(wire: Wire, flow: BookingFlow) -> None:
    wire.answers(OPEN, session_json(opening(flow)))


def dies(wire: Wire, flow: BookingFlow, how: BaseException) -> None:
    """Somebody claims the call and dies when it goes out."""
    wire.answers(OPEN, how)
    with pytest.raises(type(how)):
        acting.act(opening(flow).id)


def test_a_call_that_is_due_is_made_and_its_answer_closes_it(wire, flow):
    answers(wire, flow)
    acting.act(opening(flow).id)
    intent = opening(flow)
    assert [call.does for call in wire.calls] == [OPEN]
    assert (intent.outcome, intent.lease_until, intent.closed_at) == (Outcome.DONE, None, T0)
    assert Checkout.objects.get().intent == intent


def test_a_call_that_was_answered_is_not_made_again(wire, flow):
    answers(wire, flow)
    acting.act(opening(flow).id)
    acting.act(opening(flow).id)
    assert len(wire.calls) == 1


def test_a_call_that_nobody_wants_any_more_is_withdrawn_and_not_made(wire, flow, clock):
    clock.shift(31 * MINUTE)  # the hold is over
    acting.act(opening(flow).id)
    assert opening(flow).outcome == Outcome.WITHDRAWN
    assert wire.calls == []


def test_a_call_that_somebody_holds_is_left_alone(wire, flow):
    assert acting.claim(opening(flow).id)
    assert acting.claim(opening(flow).id) is None
    assert acting.due_intents(T0, 10) == []


def test_a_call_is_not_made_before_its_time(wire, flow):
    Intent.objects.filter(flow=flow).update(next_at=T0 + SECOND)
    assert acting.claim(opening(flow).id) is None
    assert acting.due_intents(T0, 10) == []
    assert acting.due_intents(T0 + SECOND, 10) == [opening(flow).id]


def test_an_unknown_call_is_no_error(wire):
    acting.act("it_UNKNOWN")


@pytest.mark.parametrize("how", [KeyboardInterrupt(), SystemExit(9)])
def test_a_worker_that_dies_in_the_call_is_followed_by_one_with_the_same_key(wire, flow, clock, how):
    dies(wire, flow, how)
    answers(wire, flow)
    acting.act(opening(flow).id)
    assert len(wire.calls) == 1, "its lease still runs"
    clock.shift(acting.LEASE)
    acting.act(opening(flow).id)
    first, second = wire.calls
    assert first.key == second.key == opening(flow).id
    assert first.body == second.body
    assert opening(flow).outcome == Outcome.DONE


def test_a_worker_that_dies_between_claim_and_call_is_followed_by_another(wire, flow, clock):
    assert acting.claim(opening(flow).id)
    clock.shift(acting.LEASE)
    assert acting.due_intents(T0 + acting.LEASE, 10) == [opening(flow).id]
    answers(wire, flow)
    acting.act(opening(flow).id)
    assert [call.key for call in wire.calls] == [opening(flow).id]
    assert opening(flow).outcome == Outcome.DONE


def test_a_call_with_an_unknown_outcome_is_made_again_later_with_the_same_key(wire, flow, clock, waits):
    wire.answers(OPEN, DOWN)
    pauses = []
    for _ in range(7):
        acting.act(opening(flow).id)
        intent = opening(flow)
        assert (intent.outcome, intent.lease_until) == (Outcome.OPEN, None)
        pauses.append((intent.next_at - timezone.now()).total_seconds())
        clock.shift(intent.next_at - timezone.now())
    assert pauses == [15, 30, 60, 120, 240, 480, 960]
    assert {call.key for call in wire.calls} == {opening(flow).id}
    assert (len(wire.calls), waits[:4]) == (7 * 5, [0.2, 0.4, 0.8, 1.6])


def test_the_pause_grows_to_an_hour(wire, flow):
    wire.answers(OPEN, DOWN)
    Intent.objects.filter(flow=flow).update(attempts=40, started_at=T0)
    acting.act(opening(flow).id)
    assert opening(flow).next_at == T0 + HOUR


def test_every_try_that_failed_leaves_a_knock_for_the_next(wire, flow):
    forget_jobs()
    wire.answers(OPEN, DOWN)
    acting.act(opening(flow).id)
    assert jobs() == [("payments.act", {"intent_id": opening(flow).id})]
    assert ProcrastinateJob.objects.get().scheduled_at == T0 + 15 * SECOND
    assert acting.due_intents(T0 + 14 * SECOND, 10) == []
    assert acting.due_intents(T0 + 15 * SECOND, 10) == [opening(flow).id]


def test_after_a_rate_limit_the_next_try_is_when_the_provider_says(wire, flow, waits):
    wire.answers(OPEN, LIMITED)
    acting.act(opening(flow).id)
    assert (opening(flow).outcome, opening(flow).next_at) == (Outcome.OPEN, T0 + 90 * SECOND)
    assert (len(wire.calls), waits) == (1, [])


def test_a_call_that_was_certainly_not_made_may_still_be_withdrawn(wire, flow):
    wire.answers(OPEN, LIMITED)
    acting.act(opening(flow).id)
    ask_to_cancel(flow)
    assert opening(flow).outcome == Outcome.WITHDRAWN


def test_that_holds_after_a_second_rate_limit_too(wire, flow, clock):
    wire.answers(OPEN, LIMITED)
    acting.act(opening(flow).id)
    clock.shift(90 * SECOND)
    acting.act(opening(flow).id)
    assert len(wire.calls) == 2
    ask_to_cancel(flow)
    assert opening(flow).outcome == Outcome.WITHDRAWN


def test_a_call_that_was_perhaps_made_is_not_withdrawn(wire, flow):
    wire.answers(OPEN, DOWN)
    acting.act(opening(flow).id)
    ask_to_cancel(flow)
    assert opening(flow).outcome == Outcome.OPEN


def test_a_rate_limit_after_a_worker_died_does_not_make_the_first_call_undone(wire, flow, clock):
    dies(wire, flow, SystemExit(9))
    clock.shift(acting.LEASE)
    wire.answers(OPEN, LIMITED)
    acting.act(opening(flow).id)
    assert opening(flow).started_at == T0, "the age of the key counts from the first call"
    ask_to_cancel(flow)
    assert opening(flow).outcome == Outcome.OPEN


def test_a_rate_limit_after_an_unknown_outcome_does_not_make_the_first_call_undone(wire, flow, clock):
    wire.answers(OPEN, DOWN)
    acting.act(opening(flow).id)
    clock.shift(15 * SECOND)
    wire.answers(OPEN, LIMITED)
    acting.act(opening(flow).id)
    ask_to_cancel(flow)
    assert opening(flow).outcome == Outcome.OPEN


# A key that proves nothing any more: look it up first.


def test_a_key_older_than_a_day_is_looked_up_and_what_is_found_is_recorded(wire, flow, clock):
    dies(wire, flow, SystemExit(9))
    clock.shift(acting.KEY_LIFE)
    intent = opening(flow)
    wire.answers(LIST, listing(session_json(intent)))
    wire.answers(READ, session_json(intent))
    acting.act(intent.id)
    assert len(wire.made(OPEN)) == 1, "only the one that died"
    assert Checkout.objects.get().intent == intent
    assert opening(flow).outcome == Outcome.DONE


def test_a_key_a_second_younger_than_a_day_is_used_again(wire, flow, clock):
    dies(wire, flow, SystemExit(9))
    clock.shift(acting.KEY_LIFE - SECOND)
    answers(wire, flow)
    acting.act(opening(flow).id)
    assert [call.key for call in wire.calls] == [opening(flow).id] * 2


def test_a_key_that_holds_a_saved_failure_gets_a_successor_if_nothing_was_made(wire, flow, clock):
    wire.answers(OPEN, SAVED_FAILURE)
    acting.act(opening(flow).id)
    intent = opening(flow)
    assert (intent.key_spent, len(wire.calls)) == (True, 1), "a replayed failure is not tried again at once"
    clock.shift(15 * SECOND)
    wire.answers(LIST, listing(session_json(None, id="cs_test_other")))
    answers(wire, flow)
    acting.act(intent.id)
    assert [call.key for call in wire.made(OPEN)] == [intent.id, f"{intent.id}:2"]
    assert opening(flow).outcome == Outcome.DONE


def test_the_successor_of_a_key_lives_as_long_and_may_be_followed_in_turn(wire, flow, clock):
    for number in (1, 2):
        wire.answers(LIST, listing())
        dies(wire, flow, SystemExit(9))
        assert opening(flow).key_number == number
        clock.shift(acting.KEY_LIFE)
    clock.shift(-SECOND)
    answers(wire, flow)
    acting.act(opening(flow).id)
    intent = opening(flow)
    assert [call.key for call in wire.made(OPEN)] == [intent.id, f"{intent.id}:2", f"{intent.id}:2"]


def test_nothing_is_asked_for_while_it_cannot_be_looked_up(wire, flow, clock):
    dies(wire, flow, SystemExit(9))
    clock.shift(acting.KEY_LIFE)
    wire.answers(LIST, DOWN)
    acting.act(opening(flow).id)
    assert len(wire.made(OPEN)) == 1
    assert (opening(flow).outcome, opening(flow).key_number) == (Outcome.OPEN, 1)
