"""The rows D1 to D4 of LIFECYCLE 4: when a flow ends, how much comes back, and from when that counts."""

from dataclasses import replace

import pytest

from bookings.facts import (
    AsyncResult,
    AttentionKind,
    BookingStatus,
    CheckoutStatus,
    Decision,
    IntentKind,
    Outcome,
    Party,
)
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
    Thing,
    asked,
    booking,
    cancelled,
    checkout,
    ended,
    flow,
    moved,
    opened,
    paid,
    payment,
    unseen,
)


def test_without_cause_nothing_ends():
    assert decide(flow(booking(), *paid()), T0 + HOUR).decision is None
    assert decide(flow(booking(), *paid()), START + DAY).decision is None


# D1


@pytest.mark.parametrize(
    ("notice", "percent"),
    [
        (24 * HOUR, 100),
        (24 * HOUR - SECOND, 50),
        (12 * HOUR, 50),
        (12 * HOUR - SECOND, 0),
        (SECOND, 0),
    ],
)
def test_D1_a_client_who_asks_gets_the_tier_of_the_second_of_asking(notice, percent):
    facts = flow(booking(), *paid(), cancel_asked=asked(START - notice))
    assert decide(facts, START - notice).decision == Decision("D1", percent, START - notice, Party.CLIENT)


def test_D1_counts_from_the_time_of_asking_and_not_of_deciding():
    facts = flow(booking(), *paid(), cancel_asked=asked(START - 24 * HOUR))
    assert decide(facts, START - HOUR).decision == Decision("D1", 100, START - 24 * HOUR, Party.CLIENT)


def test_D1_does_not_hold_for_who_asks_at_the_start():
    assert decide(flow(booking(), *paid(), cancel_asked=asked(START)), START).decision is None


def test_D1_gives_nothing_back_to_who_wants_nothing_back():
    facts = flow(booking(), *paid(), cancel_asked=asked(refund_requested=False))
    assert decide(facts, T0 + HOUR).decision == Decision("D1", 0, T0 + HOUR, Party.CLIENT)


@pytest.mark.parametrize("percent", [0, 30, 100])
def test_D1_staff_choose_the_percentage_whatever_the_policy(percent):
    facts = flow(booking(), *paid(), cancel_asked=asked(START - 13 * HOUR, Party.STAFF, percent=percent))
    assert decide(facts, START - 13 * HOUR).decision == Decision("D1", percent, START - 13 * HOUR, Party.STAFF)


def test_D1_remembers_that_the_booking_was_unseen():
    end = decide(flow(unseen(), cancel_asked=asked(T0 + MINUTE)), T0 + MINUTE).decision
    assert end == Decision("D1", 100, T0 + MINUTE, Party.CLIENT, unseen=True)


def test_D1_holds_before_the_cancellation_that_arrives_with_it():
    facts = flow(cancelled(booking(), T0 + HOUR, by_host=True), *paid(), cancel_asked=asked(START - 13 * HOUR))
    assert decide(facts, START - 13 * HOUR).decision == Decision("D1", 50, START - 13 * HOUR, Party.CLIENT)


def test_D1_ends_a_flow_whose_next_booking_is_not_seen_yet():
    left = cancelled(booking(), T0 + HOUR, rescheduled=True)
    end = decide(
        flow(left, moved("A", "B"), *paid(), cancel_asked=asked(START - 13 * HOUR)), START - 13 * HOUR
    ).decision
    assert end == Decision("D1", 50, START - 13 * HOUR, Party.CLIENT)


# D2


def test_D2_all_comes_back_when_the_host_cancels_whatever_the_policy():
    at = START - HOUR
    verdict = decide(flow(cancelled(booking(), at, by_host=True), *paid()), at + MINUTE)
    assert verdict.decision == Decision("D2", 100, at, Party.HOST)
    assert [(due.kind, due.amount) for due in verdict.intents] == [(IntentKind.REFUND, PRICE)]


def test_D2_a_reschedule_by_the_host_ends_nothing():
    left = cancelled(booking(), T0 + HOUR, by_host=True, rescheduled=True)
    assert decide(flow(left, *paid()), T0 + HOUR).decision is None
    assert decide(flow(left, moved("A", "B"), booking("B"), *paid()), T0 + HOUR).decision is None


def test_D2_needs_the_cancelled_booking_to_be_the_only_tip():
    left = cancelled(booking(), T0 + HOUR, by_host=True)
    assert decide(flow(left, booking("B"), *paid()), T0 + HOUR).decision is None


def test_D2_the_last_of_a_chain_is_the_only_tip():
    chain: list[Thing] = [
        booking("B"),
        moved("B", "C"),
        cancelled(booking("C"), T0 + HOUR, by_host=True),
        booking(),
        moved("A", "B"),
    ]
    assert decide(flow(*chain, *paid()), T0 + HOUR).decision == Decision("D2", 100, T0 + HOUR, Party.HOST)


def test_D2_our_own_cancel_without_its_decision_is_left_to_staff():
    ours = cancelled(booking(), T0 + HOUR, by_host=True, reference="it_lost")
    verdict = decide(flow(ours, *paid()), T0 + HOUR)
    assert verdict.decision is None
    assert (AttentionKind.UNEXPLAINED_CANCEL, "bk_A") in verdict.attentions
    known = decide(flow(ours, *paid(), decision=ended()), T0 + HOUR)
    assert not known.attentions


# D3


@pytest.mark.parametrize(
    ("notice", "percent"), [(24 * HOUR, 100), (24 * HOUR - SECOND, 50), (12 * HOUR, 50), (12 * HOUR - SECOND, 0)]
)
def test_D3_an_invitee_who_cancels_gets_the_tier_of_calendlys_second(notice, percent):
    facts = flow(cancelled(booking(), START - notice), *paid())
    assert decide(facts, START + DAY).decision == Decision("D3", percent, START - notice, Party.CLIENT)


def test_D3_waits_ten_minutes_for_an_old_invitee_of_the_chain():
    heard = T0 + HOUR
    tip = cancelled(booking("B", recorded_at=heard, created_at=heard), heard + MINUTE)
    facts = flow(moved("A", "B"), tip, *paid())
    waiting = decide(facts, heard + 10 * MINUTE - SECOND)
    assert waiting.decision is None
    assert waiting.wake_at == heard + 10 * MINUTE
    verdict = decide(facts, heard + 10 * MINUTE)
    assert verdict.decision == Decision("D3", 100, heard + MINUTE, Party.CLIENT)
    assert (AttentionKind.CHAIN_INCOMPLETE, "bf_1") in verdict.attentions


def test_D3_decides_as_soon_as_the_chain_is_complete_and_counts_what_was_left_behind():
    heard = START - 13 * HOUR
    tip = cancelled(booking("B", recorded_at=heard, created_at=heard, start=START + 9 * DAY), heard + MINUTE)
    verdict = decide(flow(moved("A", "B"), tip, booking(), *paid()), heard + 2 * MINUTE)
    assert verdict.decision == Decision("D3", 50, heard + MINUTE, Party.CLIENT)


def test_D3_a_reschedule_ends_nothing():
    left = cancelled(booking(), T0 + HOUR, rescheduled=True)
    assert decide(flow(left, *paid()), T0 + DAY).decision is None


# D4


def test_D4_the_hold_ends_at_its_second():
    assert decide(flow(booking()), HOLD_END - SECOND).decision is None
    assert decide(flow(booking()), HOLD_END).decision == Decision("D4", 100, HOLD_END, Party.SYSTEM)


def test_D4_an_unseen_booking_lapses_although_nothing_is_owed():
    end = Decision("D4", 100, HOLD_END, Party.SYSTEM, unseen=True)
    assert decide(flow(unseen(), price=0), HOLD_END).decision == end
    assert decide(flow(unseen(), *paid()), HOLD_END).decision == end


@pytest.mark.parametrize("exempt", [{"price": 0}, {"waived": True}, {"direct": True}])
def test_D4_what_has_no_hold_does_not_lapse(exempt):
    verdict = decide(flow(booking(), **exempt), T0 + DAY)
    assert (verdict.decision, verdict.hold_ends_at) == (None, None)


def test_D4_a_session_that_has_ended_does_not_lapse():
    soon = booking(start=T0 + 10 * MINUTE, end=T0 + 20 * MINUTE)
    assert decide(flow(soon, opened(outcome=Outcome.OPEN)), T0 + 20 * MINUTE - SECOND).decision is None
    assert decide(flow(soon), T0 + 20 * MINUTE - SECOND).decision is not None
    assert decide(flow(soon), T0 + 20 * MINUTE).decision is None


@pytest.mark.parametrize(
    "unsettled",
    [
        [opened(), checkout()],
        [opened(), checkout(status=CheckoutStatus.COMPLETE, completed_at=T0 + MINUTE)],
        [opened(outcome=Outcome.OPEN)],
        [opened(), payment(amount=PRICE - 1)],
        [payment(intent_id=None)],
    ],
    ids=["checkout open", "without a result", "unanswered", "mismatched money", "unmatched money"],
)
def test_D4_waits_for_what_can_still_turn_out_to_be_paid(unsettled):
    assert decide(flow(booking(), *unsettled), HOLD_END).decision is None


@pytest.mark.parametrize(
    "settled",
    [
        [opened(), checkout(status=CheckoutStatus.EXPIRED)],
        [opened(), checkout(status=CheckoutStatus.COMPLETE, async_result=AsyncResult.FAILED)],
        [opened(outcome=Outcome.REJECTED)],
    ],
    ids=["expired", "failed later", "refused"],
)
def test_D4_follows_the_answer(settled):
    assert decide(flow(booking(), *settled), HOLD_END).decision == Decision("D4", 100, HOLD_END, Party.SYSTEM)


def test_D4_a_booking_that_is_being_rescheduled_does_not_lapse():
    left = cancelled(booking(), T0 + MINUTE, rescheduled=True)
    assert decide(flow(left), HOLD_END).decision is None
    assert decide(flow(left, moved("A", "B")), HOLD_END).decision is None


def test_D4_withdraws_a_checkout_that_nobody_began_to_open():
    verdict = decide(flow(booking(), opened(outcome=Outcome.OPEN, started=False)), HOLD_END)
    assert verdict.withdrawn == {"it_open_1"}
    assert verdict.decision == Decision("D4", 100, HOLD_END, Party.SYSTEM)


def test_D4_money_after_the_hold_but_before_the_decision_confirms():
    """R5."""
    verdict = decide(flow(booking(), *paid(at=HOLD_END + 5 * MINUTE)), HOLD_END + 5 * MINUTE)
    assert verdict.decision is None
    assert verdict.bookings["bk_A"].status is BookingStatus.CONFIRMED


def test_D4_money_after_the_decision_goes_back_whole():
    """R6: even when it was captured before, for nobody confirmed it."""
    facts = flow(booking(), *paid(at=HOLD_END - SECOND), decision=ended("D4", 100, HOLD_END, by=Party.SYSTEM))
    verdict = decide(facts, HOLD_END + MINUTE)
    assert verdict.bookings["bk_A"].status is BookingStatus.CANCELLED
    assert [(due.kind, due.amount) for due in verdict.intents if due.kind is IntentKind.REFUND] == [
        (IntentKind.REFUND, PRICE)
    ]


def test_a_decision_is_written_once_whatever_comes_after():
    late = cancelled(booking(), START - DAY, by_host=True)
    facts = flow(late, *paid(), cancel_asked=asked(START - 13 * HOUR), decision=ended("D3", 50, START - 20 * HOUR))
    assert decide(facts, START + DAY).decision == ended("D3", 50, START - 20 * HOUR)
    assert decide(replace(facts, decision=None), START + DAY).decision != facts.decision
