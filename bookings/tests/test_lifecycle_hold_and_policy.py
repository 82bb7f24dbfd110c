"""The hold, the policy and `back` of LIFECYCLE 4: to the second, and to the minor unit."""

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookings.facts import Party, Tier
from bookings.lifecycle import decide
from bookings.quantities import STANDARD_TIERS, share, tier_percent
from bookings.tests.facts_builder import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    START,
    T0,
    Thing,
    asked,
    booking,
    cancelled,
    ended,
    flow,
    moved,
    paid,
    payment,
    refund,
    unseen,
)


@pytest.mark.parametrize(
    ("until_start", "hold"),
    [
        (3 * DAY, 30 * MINUTE),
        (40 * MINUTE, 30 * MINUTE),
        (40 * MINUTE - SECOND, 30 * MINUTE - SECOND),
        (20 * MINUTE, 10 * MINUTE),
        (15 * MINUTE, 5 * MINUTE),
        (15 * MINUTE - SECOND, 5 * MINUTE),
        (2 * MINUTE, 5 * MINUTE),
    ],
)
def test_the_hold_ends_ten_minutes_before_the_start_but_lasts_five_at_least(until_start, hold):
    verdict = decide(flow(booking(start=T0 + until_start)), T0)
    assert verdict.hold_ends_at == T0 + hold
    assert verdict.wake_at == min(T0 + hold, T0 + until_start)


def test_a_hold_shorter_than_five_minutes_stays_as_it_is():
    assert decide(flow(booking(), hold=2 * MINUTE), T0).hold_ends_at == T0 + 2 * MINUTE


def test_an_unseen_booking_has_a_hold_even_if_it_is_free():
    assert decide(flow(unseen(), price=0), T0).hold_ends_at == T0 + 30 * MINUTE
    assert decide(flow(booking(), price=0), T0).hold_ends_at is None


def test_the_hold_counts_anew_after_the_first_reschedule_and_not_after_the_second():
    first, second = booking(), booking("B", recorded_at=T0 + 20 * MINUTE)
    third = booking("C", recorded_at=T0 + 40 * MINUTE)
    assert decide(flow(first), T0).hold_ends_at == T0 + 30 * MINUTE
    assert decide(flow(first, second, moved("A", "B")), T0).hold_ends_at == T0 + 50 * MINUTE
    chain: list[Thing] = [first, second, third, moved("A", "B"), moved("B", "C")]
    assert decide(flow(*chain), T0).hold_ends_at == T0 + 50 * MINUTE


def test_a_booking_of_the_chain_that_is_never_seen_gives_no_further_hold():
    third, fourth = booking("C", recorded_at=T0 + 20 * MINUTE), booking("D", recorded_at=T0 + 40 * MINUTE)
    chain: list[Thing] = [booking(), moved("A", "B"), moved("B", "C"), third]
    assert decide(flow(*chain), T0).hold_ends_at == T0 + 50 * MINUTE
    assert decide(flow(*chain, moved("C", "D"), fourth), T0).hold_ends_at == T0 + 50 * MINUTE


@pytest.mark.parametrize(("price", "tier", "back"), [(1, 50, 1), (3, 50, 2), (101, 50, 51), (50, 33, 17), (0, 50, 0)])
def test_half_a_minor_unit_goes_to_the_client(price, tier, back):
    tiers = (Tier(timedelta(0), tier),)
    facts = flow(booking(), *paid(amount=price), tiers=tiers, cancel_asked=asked(), price=price)
    assert share(tier, price) == back
    assert sum(due.amount for due in decide(facts, T0 + HOUR).intents) == back


@given(st.integers(0, 100), st.integers(0, 10**8))
def test_a_share_is_rounded_half_up(percent, amount):
    exact = Decimal(percent) * amount / 100
    assert share(percent, amount) == exact.quantize(Decimal(1), ROUND_HALF_UP)


def test_the_tier_of_the_longest_notice_that_is_met_counts():
    tiers = (Tier(12 * HOUR, 50), Tier(48 * HOUR, 90), Tier(24 * HOUR, 75))
    notices = [72 * HOUR, 48 * HOUR, 48 * HOUR - SECOND, 12 * HOUR, 12 * HOUR - SECOND, -HOUR]
    assert [tier_percent(tiers, notice) for notice in notices] == [90, 90, 75, 50, 0, 0]
    assert tier_percent((), 72 * HOUR) == 0


@pytest.mark.parametrize(("notice", "percent"), [(24 * HOUR, 100), (24 * HOUR - SECOND, 50), (12 * HOUR - SECOND, 0)])
def test_moving_the_date_does_not_dodge_the_window(notice, percent):
    """The tier of the start that was left, at the time the next invitee was made (not when we heard of it)."""
    second = booking("B", created_at=START - notice, recorded_at=START, start=START + 30 * DAY)
    facts = flow(booking(), moved("A", "B"), second, *paid(), cancel_asked=asked(START + DAY))
    end = decide(facts, START + DAY).decision
    assert end is not None
    assert end.percent == percent


def test_the_smallest_tier_of_a_long_chain_counts_in_any_order_of_hearing():
    names = "ABCDE"
    chain = [booking(name, start=START + n * DAY, created_at=T0 + n * HOUR) for n, name in enumerate(names)]
    chain[3] = booking("D", start=START + 3 * DAY, created_at=START + 2 * DAY - 13 * HOUR)  # C left 13 h before
    edges = [moved(*pair) for pair in pairwise(names)]
    for order in permutations(chain):
        at = START + 2 * DAY
        end = decide(flow(*order, *edges, *paid(), cancel_asked=asked(at)), at).decision
        assert end is not None
        assert end.percent == 50
    early = decide(flow(*chain[:3], *edges[:2], cancel_asked=asked()), T0 + HOUR).decision
    assert early is not None
    assert early.percent == 100


def test_a_tier_that_gives_more_than_the_start_left_behind_cannot_win():
    second = booking("B", created_at=T0 + HOUR, start=START + 30 * DAY)
    facts = flow(booking(), moved("A", "B"), second, cancel_asked=asked(START + 30 * DAY - HOUR))
    end = decide(facts, START + 30 * DAY - HOUR).decision
    assert end is not None
    assert end.percent == 0


def percent_of(at, *things):
    end = decide(flow(*things, cancel_asked=asked(at)), at).decision
    assert end is not None
    return end.percent


def test_the_start_that_counts_is_that_of_the_booking_that_stands():
    near, far = START - 13 * HOUR, START + 30 * DAY
    cancelled_one = cancelled(booking("B", created_at=T0 + DAY), T0 + DAY)
    assert percent_of(near, booking(start=far), cancelled_one) == 100
    assert percent_of(near, booking(), booking("B", created_at=T0 - DAY, start=far)) == 50  # the newest of two


def test_the_start_that_counts_is_the_last_that_is_known():
    near, far = START - 13 * HOUR, START + 30 * DAY
    heard_last = booking(recorded_at=T0 + DAY, created_at=None, start=far)
    tip = cancelled(booking("B", recorded_at=T0, created_at=None), near)
    assert percent_of(near, tip, moved("A", "B"), heard_last) == 50
    later = booking("B", created_at=T0 + HOUR)
    assert percent_of(near, booking(start=far), later, moved("A", "B"), moved("B", "C")) == 50


# back


def back(*things, percent=50, row="D1", **changes):
    """What is sent back of a flow that ended one hour after it began."""
    facts = flow(cancelled(booking(), T0 + HOUR), *things, decision=ended(row, percent), **changes)
    return sum(due.amount for due in decide(facts, T0 + DAY).intents)


def test_back_is_the_percentage_of_what_came_in_time():
    assert [back(*paid(), percent=percent) for percent in (100, 50, 33, 0)] == [10_000, 5_000, 3_300, 0]


@pytest.mark.parametrize(("after", "amount"), [(-SECOND, 5_000), (timedelta(0), 5_000), (SECOND, 10_000)])
def test_back_money_captured_after_the_end_goes_back_whole(after, amount):
    """By Stripe's time of the capture, not by when we heard of it."""
    assert back(*paid(at=T0 + HOUR + after)) == amount
    assert back(*paid(at=T0 + HOUR + after, recorded_at=T0 + 2 * HOUR)) == amount


def test_back_the_surplus_of_a_double_payment_goes_back_whole():
    assert back(*paid(), *paid(2)) == 15_000
    assert back(*paid(), *paid(2, at=T0 + 2 * HOUR)) == 15_000
    assert back(*paid(at=T0 + 2 * HOUR), *paid(2, at=T0 + 2 * HOUR)) == 20_000


def test_back_of_a_lapsed_flow_is_everything():
    assert back(*paid(), row="D4", percent=100) == 10_000


def test_back_of_what_was_waived_is_everything():
    assert back(*paid(), waived=True) == 10_000


def test_back_mismatched_money_goes_back_whole_beside_it():
    assert back(*paid(), payment(2, 7_777, intent_id=None), percent=50) == 5_000 + 7_777
    assert back(*paid(), payment(2, 7_777, intent_id=None), percent=0) == 7_777


def test_back_counts_what_went_out_of_stripes_dashboard():
    """R12: a cancel at 50 % after 30 of 100 went out sends 20."""
    assert back(*paid(), refund(3_000)) == 2_000
    assert back(*paid(), refund(3_000, "pending")) == 2_000
    assert back(*paid(), refund(3_000, "failed")) == 5_000
    assert back(*paid(), refund(6_000)) == 0


def test_back_without_a_decision_is_the_surplus():
    facts = flow(booking(), *paid(), *paid(2, at=T0 + 6 * MINUTE))
    assert [(due.target, due.amount) for due in decide(facts, T0 + HOUR).intents] == [("pi_2", 10_000)]


def test_an_accepted_payment_is_what_was_due():
    """LIFECYCLE 4: nothing is missing of it and nothing is over."""
    accepted = payment(amount=7_000, accepted=True, intent_id=None)
    verdict = decide(flow(booking(), accepted), T0 + HOUR)
    assert (verdict.due, verdict.captured, verdict.intents) == (7_000, 7_000, ())
    assert back(accepted) == 3_500


def test_the_standard_tiers_are_those_of_the_contract():
    facts = flow(booking(), cancel_asked=asked(START - 24 * HOUR, Party.STAFF), tiers=STANDARD_TIERS)
    end = decide(facts, START - 24 * HOUR).decision
    assert end is not None
    assert (end.percent, end.by) == (100, Party.STAFF)
