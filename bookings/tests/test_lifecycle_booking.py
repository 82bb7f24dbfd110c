"""The rows B1 to B7 of LIFECYCLE 5: what became of each booking of a flow."""

from datetime import timedelta
from itertools import permutations

import pytest

from bookings.facts import BookingStatus, BookingVerdict, CalendlyStatus, Outcome
from bookings.lifecycle import decide
from bookings.quantities import rescheduled_to
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
    cancelled,
    dispute,
    ended,
    flow,
    moved,
    opened,
    paid,
    payment,
    refund,
    unseen,
)

ACTIVE, GONE = CalendlyStatus.ACTIVE, CalendlyStatus.CANCELLED
RESCHEDULED = BookingVerdict("B1", BookingStatus.RESCHEDULED, GONE)
B2_CANCELLED = BookingVerdict("B2", BookingStatus.CANCELLED, GONE)
CONFIRMED = BookingVerdict("B6", BookingStatus.CONFIRMED, ACTIVE)
PENDING = BookingVerdict("B7", BookingStatus.PENDING, ACTIVE)


def verdicts(*things, at=T0 + HOUR, **changes):
    return decide(flow(*things, **changes), at).bookings


# B1


def test_B1_whoever_has_a_successor_is_rescheduled():
    both = verdicts(booking(), booking("B"), moved("A", "B"), *paid())
    assert both == {"bk_A": RESCHEDULED, "bk_B": CONFIRMED}
    assert verdicts(booking(), moved("A", "B"), *paid())["bk_A"] == RESCHEDULED


@pytest.mark.parametrize("by_host", [True, False])
def test_B1_cancelled_and_rescheduled_is_rescheduled_before_the_successor_is_known(by_host):
    left = cancelled(booking(), T0 + HOUR, by_host=by_host, rescheduled=True)
    assert verdicts(left, *paid())["bk_A"] == RESCHEDULED
    assert verdicts(left, *paid(), decision=ended())["bk_A"] == RESCHEDULED
    assert verdicts(booking(rescheduled=True), *paid())["bk_A"] == CONFIRMED


def test_B1_a_chain_ends_the_same_in_any_order_of_hearing():
    """R18: A -> B -> C arrives as C, cancel A, B; and in every other order."""
    chain = [
        cancelled(booking(), T0 + HOUR, rescheduled=True),
        cancelled(booking("B"), T0 + 2 * HOUR, rescheduled=True),
        booking("C"),
    ]
    edges = [moved("A", "B"), moved("B", "C")]
    for order in permutations(chain):
        verdict = decide(flow(*order, *edges, *paid()), T0 + 2 * HOUR)
        assert verdict.bookings == {"bk_A": RESCHEDULED, "bk_B": RESCHEDULED, "bk_C": CONFIRMED}
        assert (verdict.decision, verdict.intents, verdict.attentions) == (None, (), frozenset())


def test_B1_no_partial_view_of_a_chain_gives_money_back():
    """R18: C is seen, A is cancelled, and B is still to be read."""
    a, c = cancelled(booking(), T0 + HOUR, rescheduled=True), booking("C")
    for things in ([a, c, moved("B", "C")], [a, moved("A", "B"), c, moved("B", "C")], [a, moved("A", "B")], [a]):
        verdict = decide(flow(*things, *paid()), T0 + HOUR)
        assert (verdict.decision, verdict.intents) == (None, ())


def test_the_nearest_seen_successor_is_shown():
    a, c, d = booking(), booking("C"), booking("D")
    facts = flow(a, c, d, moved("A", "B"), moved("B", "C"), moved("C", "D"))
    assert rescheduled_to(facts, "inv_A") == c
    assert rescheduled_to(facts, "inv_C") == d
    assert rescheduled_to(facts, "inv_D") is None


# B2


def test_B2_cancelled_is_cancelled():
    assert verdicts(cancelled(booking(), T0 + HOUR), *paid())["bk_A"] == B2_CANCELLED
    assert verdicts(cancelled(booking(), T0 + HOUR, by_host=True), *paid())["bk_A"] == B2_CANCELLED
    gone_too = cancelled(booking(gone=True), T0 + HOUR)
    assert verdicts(gone_too, decision=ended(), at=START)["bk_A"] == B2_CANCELLED
    assert verdicts(cancelled(booking(), T0 + HOUR), *paid(), at=START + DAY)["bk_A"] == B2_CANCELLED


# B3


def test_B3_an_ended_flow_whose_booking_was_never_seen():
    assert verdicts(unseen(), decision=ended())["bk_unseen"] == BookingVerdict("B3", BookingStatus.CANCELLED, GONE)


def test_B3_an_ended_flow_whose_event_is_gone():
    assert verdicts(booking(gone=True), decision=ended())["bk_A"] == BookingVerdict("B3", BookingStatus.CANCELLED, GONE)


def test_B3_an_ended_flow_whose_session_began_before_the_cancel_went_through():
    started = BookingVerdict("B3", BookingStatus.CANCELLED, ACTIVE)
    assert verdicts(booking(), *paid(), decision=ended(), at=START)["bk_A"] == started
    assert verdicts(booking(), *paid(), decision=ended(), at=START + DAY)["bk_A"] == started
    before = verdicts(booking(), *paid(), decision=ended(), at=START - SECOND)["bk_A"]
    assert before == BookingVerdict("B6", BookingStatus.CONFIRMED, ACTIVE, cancellation_pending=True)


# B4


@pytest.mark.parametrize("things", [[], paid(), [*paid(), refund(PRICE)]], ids=["unpaid", "paid", "refunded"])
def test_B4_a_session_is_completed_at_its_end(things):
    waiting = opened(9, outcome=Outcome.OPEN)  # no decision while it is unanswered
    completed = BookingVerdict("B4", BookingStatus.COMPLETED, ACTIVE)
    assert verdicts(booking(), waiting, *things, at=START + HOUR)["bk_A"] == completed
    assert verdicts(booking(), waiting, *things, at=START + HOUR - SECOND)["bk_A"] != completed


def test_B4_needs_the_booking_to_be_seen():
    claimed = unseen(start=T0, end=T0 + MINUTE)
    assert verdicts(claimed, at=T0 + 2 * MINUTE)["bk_unseen"].status is BookingStatus.PENDING


# B5


def test_B5_a_lapsed_booking_is_cancelled_before_calendly_knows():
    for money in ([], paid(at=HOLD_END + HOUR)):
        lapsed = verdicts(booking(), *money, decision=ended("D4", 100, HOLD_END))["bk_A"]
        assert lapsed == BookingVerdict("B5", BookingStatus.CANCELLED, ACTIVE, cancellation_pending=True)


def test_B5_a_booking_seen_after_it_was_cancelled_stays_cancelled():
    seen = verdicts(booking(), *paid(), decision=ended("D1", unseen=True))["bk_A"]
    assert seen == BookingVerdict("B5", BookingStatus.CANCELLED, ACTIVE, cancellation_pending=True)


# B6


def test_B6_seen_and_paid_is_confirmed():
    assert verdicts(booking(), *paid())["bk_A"] == CONFIRMED
    assert verdicts(booking(), price=0)["bk_A"] == CONFIRMED
    assert verdicts(booking(), waived=True)["bk_A"] == CONFIRMED
    assert verdicts(booking(), payment(amount=1, accepted=True))["bk_A"] == CONFIRMED


def test_B6_a_refund_or_a_lost_dispute_never_takes_the_confirmation_back():
    assert verdicts(booking(), *paid(), refund(PRICE))["bk_A"] == CONFIRMED
    assert verdicts(booking(), *paid(), dispute(PRICE, "lost"))["bk_A"] == CONFIRMED


@pytest.mark.parametrize("row", ["D1", "D2", "D3"])
def test_B6_a_cancelled_booking_is_confirmed_until_calendly_knows(row):
    pending = BookingVerdict("B6", BookingStatus.CONFIRMED, ACTIVE, cancellation_pending=True)
    assert verdicts(booking(), *paid(), decision=ended(row))["bk_A"] == pending


def test_B6_the_new_tip_of_an_ended_flow_is_to_be_cancelled_too():
    """R22."""
    both = verdicts(booking(), booking("B"), moved("A", "B"), *paid(), decision=ended())
    assert both["bk_A"] == RESCHEDULED
    assert both["bk_B"] == BookingVerdict("B6", BookingStatus.CONFIRMED, ACTIVE, cancellation_pending=True)


# B7


@pytest.mark.parametrize(
    "money",
    [[], [opened(), payment(amount=PRICE - 1)], [payment(intent_id=None)]],
    ids=["nothing", "too little", "unmatched"],
)
def test_B7_seen_and_not_paid_is_pending(money):
    assert verdicts(booking(), *money, at=T0 + MINUTE)["bk_A"] == PENDING


def test_B7_paid_and_unseen_is_pending():
    assert verdicts(unseen(), *paid(), at=T0 + 6 * MINUTE)["bk_unseen"] == PENDING
    assert verdicts(unseen(), price=0, at=T0 + timedelta(0))["bk_unseen"] == PENDING


def test_B7_an_unpaid_booking_that_is_to_be_cancelled_stays_pending_until_calendly_knows():
    pending = BookingVerdict("B7", BookingStatus.PENDING, ACTIVE, cancellation_pending=True)
    assert verdicts(booking(), decision=ended("D1"))["bk_A"] == pending
