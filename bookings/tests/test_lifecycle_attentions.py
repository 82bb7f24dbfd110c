"""What needs a person, and `wake_at`: when the clock alone will change a verdict (LIFECYCLE 2, 5, 6, R41)."""

from dataclasses import replace

import pytest

from bookings.facts import AttentionKind, CheckoutStatus, IntentKind, Outcome
from bookings.lifecycle import decide
from bookings.tests.facts_builder import (
    DAY,
    HOLD_END,
    HOUR,
    MINUTE,
    PRICE,
    SECOND,
    START,
    T0,
    booking,
    call,
    cancelled,
    checkout,
    ended,
    flow,
    moved,
    opened,
    paid,
    payment,
    refund,
    refund_intent,
    unseen,
)


def raised(facts, at=T0 + HOUR):
    return decide(facts, at).attentions


def test_a_quiet_flow_needs_nobody():
    assert raised(flow(booking(), *paid())) == frozenset()
    assert raised(flow(booking(), *paid()), START + DAY) == frozenset()


def test_an_event_that_is_gone_without_a_decision_is_raised():
    assert raised(flow(booking(gone=True), *paid())) == {(AttentionKind.EVENT_GONE, "bk_A")}
    assert raised(flow(booking(gone=True), *paid(), decision=ended(percent=0))) == frozenset()
    assert raised(flow(cancelled(booking(gone=True), T0, rescheduled=True), *paid()), T0) == frozenset()


SINCE = T0 + HOUR
WAITED_FOR = {
    AttentionKind.SUCCESSOR_UNSEEN: (flow(cancelled(booking(), SINCE, rescheduled=True), *paid()), "bk_A", 10 * MINUTE),
    AttentionKind.CHAIN_INCOMPLETE: (
        flow(booking("B", recorded_at=SINCE), moved("A", "B"), *paid()),
        "bf_1",
        10 * MINUTE,
    ),
    AttentionKind.PAID_UNSEEN: (flow(unseen(), *paid(recorded_at=SINCE), hold=DAY), "bf_1", 10 * MINUTE),
    AttentionKind.CALL_OVERDUE: (
        flow(booking(), opened(outcome=Outcome.OPEN, created_at=SINCE), direct=True),
        "it_open_1",
        DAY,
    ),
    AttentionKind.UNPAID_SESSION: (
        flow(booking(start=SINCE - HOUR, end=SINCE + HOUR), opened(outcome=Outcome.OPEN)),
        "bk_A",
        HOUR,
    ),
}


@pytest.mark.parametrize("kind", WAITED_FOR)
def test_what_is_missing_is_raised_when_its_time_is_up_and_the_flow_wakes_for_it(kind):
    facts, of, patience = WAITED_FOR[kind]
    before = decide(facts, SINCE + patience - SECOND)
    assert (kind, of) not in before.attentions
    assert before.wake_at == SINCE + patience
    assert (kind, of) in decide(facts, SINCE + patience).attentions


def test_a_successor_that_is_seen_is_not_missed():
    left = cancelled(booking(), T0, rescheduled=True)
    assert raised(flow(left, moved("A", "B"), booking("B"), *paid())) == frozenset()
    assert raised(flow(left, moved("A", "X"), *paid())) == {(AttentionKind.SUCCESSOR_UNSEEN, "bk_A")}


def test_a_paid_session_that_ended_needs_nobody():
    late = flow(booking(), opened(outcome=Outcome.OPEN), *paid(2))
    assert AttentionKind.UNPAID_SESSION not in {kind for kind, _ in raised(late, START + HOUR)}


def test_paid_and_seen_needs_nobody():
    facts = flow(unseen(), *paid(), hold=DAY)
    assert raised(facts) == {(AttentionKind.PAID_UNSEEN, "bf_1")}
    again = flow(unseen(), *paid(), *paid(2, at=T0 + 14 * MINUTE), hold=DAY)
    assert raised(again, T0 + 15 * MINUTE) == {(AttentionKind.PAID_UNSEEN, "bf_1")}
    assert raised(replace(facts, bookings=(booking(),))) == frozenset()


def test_another_event_type_is_raised_and_the_snapshot_kept():
    """R21."""
    facts = flow(booking(), booking("B", event_type_id="et_2"), moved("A", "B"), *paid())
    verdict = decide(facts, T0 + HOUR)
    assert verdict.attentions == {(AttentionKind.EVENT_TYPE_CHANGED, "bk_B")}
    assert (verdict.due, verdict.bookings["bk_B"].status) == (PRICE, "CONFIRMED")
    assert raised(flow(booking(event_type_id=None), *paid())) == frozenset()


def test_several_standing_bookings_are_raised():
    assert raised(flow(booking(), booking("B"), *paid())) == {(AttentionKind.SEVERAL_TIPS, "bf_1")}
    assert raised(flow(booking(), booking("B"), moved("A", "B"), *paid())) == frozenset()


def test_a_direct_booking_of_an_unknown_client_is_raised():
    """R40."""
    assert raised(flow(booking(), direct=True, client_known=False, price=0)) == {(AttentionKind.DIRECT_BOOKING, "bf_1")}
    assert raised(flow(booking(), direct=True, price=0)) == frozenset()
    assert raised(flow(booking(), client_known=False, price=0)) == frozenset()


@pytest.mark.parametrize("kind", [IntentKind.OPEN_CHECKOUT, IntentKind.READ_PAYMENT, IntentKind.CANCEL_EVENT])
def test_a_call_that_was_refused_is_raised(kind):
    refused = call(kind, "x", outcome=Outcome.REJECTED, started=True)
    assert raised(flow(booking(), *paid(), refused)) == {(AttentionKind.CALL_REFUSED, refused.id)}
    done = replace(refused, outcome=Outcome.DONE)
    assert raised(flow(booking(), *paid(), done)) == frozenset()


def test_what_staff_resolved_is_not_raised_again():
    facts = flow(booking(), booking("B", event_type_id="et_2"), moved("A", "B"), *paid())
    resolved = frozenset({(AttentionKind.EVENT_TYPE_CHANGED, "bk_B")})
    assert raised(replace(facts, resolved=resolved)) == frozenset()
    assert raised(replace(facts, resolved=frozenset({(AttentionKind.EVENT_TYPE_CHANGED, "bk_A")}))) != frozenset()


# When time alone will change something (R41).

SESSION = checkout(expires_at=T0 + 40 * MINUTE)
SUBMITTED = checkout(status=CheckoutStatus.COMPLETE, completed_at=T0 + HOUR)
WAKES = {
    "the hold ends": (flow(booking(), opened(), SESSION), T0, HOLD_END),
    "the checkout ends": (flow(booking(), opened(), SESSION, hold=2 * HOUR), T0, T0 + 40 * MINUTE),
    "no result": (flow(booking(), opened(), SUBMITTED), T0 + HOUR, T0 + HOUR + 10 * MINUTE),
    "read again": (
        flow(booking(), opened(), replace(SUBMITTED, read_at=T0 + 2 * HOUR)),
        T0 + 2 * HOUR,
        T0 + 3 * HOUR,
    ),
    "money read again": (
        flow(booking(), opened(), payment(provisional=True, read_at=T0 + HOUR)),
        T0 + HOUR,
        T0 + HOUR + 10 * MINUTE,
    ),
    "the session begins": (flow(booking(), *paid()), T0 + HOUR, START),
    "the session ends": (flow(booking(), *paid()), START, START + HOUR),
    "a refund is slow": (
        flow(booking(), *paid(), refund(1, "pending")),
        START + HOUR,
        T0 + HOUR + 5 * DAY,
    ),
    "a call is overdue": (
        flow(booking(), *paid(), refund_intent(1, started=True)),
        T0 + HOUR,
        T0 + 10 * MINUTE + DAY,
    ),
    "never": (flow(booking(), *paid()), START + HOUR, None),
}


@pytest.mark.parametrize("name", WAKES)
def test_a_flow_wakes_when_time_alone_changes_it(name):
    facts, now, wake_at = WAKES[name]
    assert decide(facts, now).wake_at == wake_at


def test_a_flow_wakes_for_a_call_that_has_just_become_due():
    verdict = decide(flow(booking(), direct=True), T0)
    assert verdict.intents
    assert verdict.wake_at == T0 + DAY
