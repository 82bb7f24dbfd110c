"""Refunds of LIFECYCLE 6: what is sent back, from which payment, what gives way, and what is never repeated."""

from typing import Any

import pytest

from bookings.facts import AttentionKind, IntentKind, Outcome, RefundStatus
from bookings.lifecycle import decide
from bookings.tests.facts_builder import (
    DAY,
    HOUR,
    MINUTE,
    PRICE,
    SECOND,
    T0,
    Thing,
    booking,
    call,
    cancelled,
    dispute,
    ended,
    flow,
    opened,
    paid,
    payment,
    refund,
    refund_intent,
    sent,
)

LEFT = cancelled(booking(), T0 + HOUR)
NOW = T0 + 2 * HOUR


def refunds(*things, percent=100, **changes):
    """What is sent back after an end, per payment."""
    verdict = decide(flow(LEFT, *things, **{"decision": ended(percent=percent)} | changes), NOW)
    return {due.target: due.amount for due in verdict.intents if due.kind is IntentKind.REFUND}


def withdrawn(*things, percent=100, **changes):
    return decide(flow(LEFT, *things, **{"decision": ended(percent=percent)} | changes), NOW).withdrawn


def staff(amount, name="it_staff", of=1, **changes):
    return refund_intent(amount, name, of, automatic=False, **changes)


def test_a_refund_names_the_row_or_the_surplus_that_made_it_due():
    def why(facts):
        return [due.why for due in decide(facts, NOW).intents]

    assert why(flow(LEFT, *paid(), decision=ended("D3"))) == ["D3"]
    assert why(flow(booking(), *paid(), *paid(2))) == ["surplus"]


def test_nothing_is_sent_back_of_nothing():
    assert refunds() == {}
    assert refunds(*paid(), percent=0) == {}
    assert refunds(price=0) == {}


def test_the_payment_captured_last_goes_back_first():
    first, second = paid(1, at=T0 + 6 * MINUTE), paid(2, at=T0 + 5 * MINUTE)
    live = decide(flow(booking(), *first, *second), NOW)
    assert [(due.target, due.amount) for due in live.intents] == [("pi_1", PRICE)]
    assert refunds(*first, *second, percent=50) == {"pi_1": PRICE, "pi_2": 5_000}


def test_the_time_of_the_capture_decides_and_not_when_we_heard_of_it():
    first = paid(1, at=T0 + 5 * MINUTE, recorded_at=T0 + 10 * MINUTE)
    second = paid(2, at=T0 + 6 * MINUTE)
    verdict = decide(flow(booking(), *first, *second), NOW)
    assert [due.target for due in verdict.intents] == ["pi_2"]


def test_no_refund_is_planned_while_the_time_of_a_capture_is_provisional():
    assert refunds(*paid(provisional=True)) == {}
    assert refunds(*paid(), *paid(2, provisional=True)) == {}
    assert refunds(*paid(), payment(2, 5, intent_id=None, provisional=True)) == {}
    assert refunds(*paid(), payment(2, 0, intent_id=None, provisional=True)) == {"pi_1": PRICE}


# Tried: what was planned, sent or refused once is not planned again.

TRIED: dict[str, list[Thing]] = {
    "waiting": [refund_intent(PRICE)],
    "sent": [refund_intent(PRICE, started=True)],
    "pending": sent(PRICE, "pending"),
    "requires action": sent(PRICE, "requires_action"),
    "succeeded": sent(PRICE),
    "failed": sent(PRICE, "failed"),
    "canceled": sent(PRICE, "canceled"),
    "refused": [refund_intent(PRICE, outcome=Outcome.REJECTED, started=True)],
    "done without its refund": [refund_intent(PRICE, outcome=Outcome.DONE, started=True)],
}


@pytest.mark.parametrize("name", TRIED)
def test_what_was_tried_is_never_tried_again(name):
    assert refunds(*paid(), *TRIED[name]) == {}
    assert withdrawn(*paid(), *TRIED[name]) == frozenset()


def test_what_was_withdrawn_may_be_planned_again():
    assert refunds(*paid(), refund_intent(PRICE, outcome=Outcome.WITHDRAWN)) == {"pi_1": PRICE}


def test_a_withdrawn_refund_that_was_made_after_all_counts():
    """A restore (R36) may withdraw an intent whose refund Stripe already has."""
    made = sent(5_000, outcome=Outcome.WITHDRAWN)
    assert refunds(*paid(), *made, percent=50) == {}
    failed = sent(5_000, "failed", outcome=Outcome.WITHDRAWN)
    assert refunds(*paid(), *failed, percent=50) == {}


@pytest.mark.parametrize("name", ["failed", "canceled", "refused"])
def test_only_staff_repeat_a_refund_that_failed(name):
    """R13."""
    verdict = decide(flow(LEFT, *paid(), *TRIED[name], decision=ended()), NOW)
    assert (verdict.intents, verdict.refund_status) == ((), RefundStatus.FAILED)
    assert verdict.attentions == {(AttentionKind.REFUND_FAILED, "it_refund")}
    again = staff(PRICE, replaces="it_refund")
    repeated = decide(flow(LEFT, *paid(), *TRIED[name], again, decision=ended()), NOW)
    assert (repeated.intents, repeated.withdrawn, repeated.attentions) == ((), frozenset(), frozenset())


def test_a_replacement_that_failed_as_well_stands_for_both():
    """So the one that replaces it at last closes the matter."""
    again = staff(PRICE, name="it_2", replaces="it_refund", outcome=Outcome.REJECTED, started=True)
    both = decide(flow(LEFT, *paid(), *TRIED["failed"], again, decision=ended()), NOW)
    assert both.attentions == {(AttentionKind.REFUND_FAILED, "it_2")}
    third = staff(PRICE, name="it_3", replaces="it_2")
    assert not decide(flow(LEFT, *paid(), *TRIED["failed"], again, third, decision=ended()), NOW).attentions


def test_a_partial_refund_that_failed_leaves_the_rest_due():
    """More becomes due when the surplus comes; what failed stays failed."""
    failed = sent(5_000, "failed")
    assert refunds(*paid(), *failed, *paid(2, at=T0 + 90 * MINUTE), percent=50) == {"pi_2": PRICE}


# Made outside, in Stripe's dashboard (R12).


@pytest.mark.parametrize(("outside", "rest"), [(3_000, 2_000), (5_000, 0), (9_000, 0)])
def test_a_refund_from_the_dashboard_counts_into_what_goes_back(outside, rest):
    due = refunds(*paid(), refund(outside), percent=50)
    assert sum(due.values()) == rest
    assert sum(refunds(*paid(), refund(outside, "failed"), percent=50).values()) == 5_000


def test_a_refund_that_names_an_unknown_intent_was_made_outside():
    assert refunds(*paid(), refund(3_000, intent="it_lost"), percent=50) == {"pi_1": 2_000}


def test_a_waiting_refund_is_planned_anew_when_the_dashboard_was_quicker():
    facts = [*paid(), refund_intent(5_000), refund(3_000)]
    assert withdrawn(*facts, percent=50) == {"it_refund"}
    assert refunds(*facts, percent=50) == {"pi_1": 2_000}


def test_a_full_refund_from_the_dashboard_on_a_live_booking_needs_a_person():
    verdict = decide(flow(booking(), *paid(), refund(PRICE)), NOW)
    assert verdict.attentions == {(AttentionKind.EXTERNAL_FULL_REFUND, "bf_1")}
    assert verdict.bookings["bk_A"].status == "CONFIRMED"
    assert not decide(flow(booking(), *paid(), refund(PRICE - 1)), NOW).attentions
    assert not decide(flow(booking(), *paid(), refund(PRICE, "pending")), NOW).attentions

    def quiet(*things, **changes):
        return not decide(flow(*things, **changes), NOW).attentions

    assert quiet(LEFT, *paid(), refund(PRICE), decision=ended())
    assert quiet(booking(), *paid(), refund(PRICE), decision=ended())
    assert quiet(cancelled(booking(), NOW, rescheduled=True), *paid(), refund(PRICE))
    assert quiet(booking(), *paid(), refund(PRICE), waived=True)
    assert quiet(booking(), *paid(), *sent(PRICE, automatic=False))


# Never more than is left of a payment.


def test_a_refund_is_bounded_by_what_is_left_of_the_payment():
    assert refunds(*paid(), *sent(6_000, automatic=False)) == {"pi_1": 4_000}
    assert refunds(*paid(), *sent(6_000, "pending", automatic=False)) == {"pi_1": 4_000}
    assert refunds(*paid(), *sent(6_000, "failed", automatic=False)) == {"pi_1": PRICE}
    assert refunds(*paid(), staff(6_000, started=True)) == {"pi_1": 4_000}
    assert refunds(*paid(), staff(6_000)) == {"pi_1": 4_000}


def test_what_one_payment_lacks_comes_from_the_other():
    both = [*paid(1, at=T0 + 5 * MINUTE), *paid(2, at=T0 + 6 * MINUTE)]
    assert refunds(*both, *sent(8_000, of=2, automatic=False), percent=50) == {"pi_2": 2_000, "pi_1": PRICE}


def test_an_answered_intent_is_not_reserved_a_second_time():
    """R11: the refund is known before our call returned."""
    facts = [*paid(), refund_intent(5_000, started=True), refund(5_000, "pending", intent="it_refund")]
    assert refunds(*facts, percent=50) == {}
    verdict = decide(flow(LEFT, *facts, decision=ended(percent=50)), NOW)
    assert verdict.reserved == {"pi_1": 5_000}


def test_what_is_reserved_is_told_per_payment():
    facts = flow(LEFT, *paid(), *paid(2), *sent(4_000, automatic=False), staff(1_000, of=2), decision=ended())
    verdict = decide(facts, NOW)
    assert verdict.reserved == {"pi_1": PRICE, "pi_2": PRICE}
    failed = flow(LEFT, *paid(), *sent(PRICE, "failed"), decision=ended())
    assert decide(failed, NOW).reserved == {"pi_1": 0}


# Staff refunds.


def test_a_staff_refund_comes_on_top_of_what_goes_back():
    assert refunds(*paid(), *sent(3_000, automatic=False), percent=50) == {"pi_1": 5_000}
    assert refunds(*paid(), staff(3_000), percent=50) == {"pi_1": 5_000}
    assert refunds(*paid(), staff(3_000), percent=0) == {}


def test_a_request_that_nobody_approved_gives_way_to_an_automatic_refund():
    request = staff(6_000, awaits_approval=True)
    assert withdrawn(*paid(), request) == {"it_staff"}
    assert refunds(*paid(), request) == {"pi_1": PRICE}


def test_a_request_that_leaves_enough_room_does_not_give_way():
    request = staff(5_000, awaits_approval=True)
    assert withdrawn(*paid(), request, percent=50) == frozenset()
    assert refunds(*paid(), request, percent=50) == {"pi_1": 5_000}


def test_a_request_on_another_payment_does_not_give_way():
    facts = [*paid(), *paid(2, at=T0 + 6 * MINUTE), staff(6_000, awaits_approval=True)]
    verdict = decide(flow(booking(), *facts), NOW)
    assert verdict.withdrawn == frozenset()
    assert [(due.target, due.amount) for due in verdict.intents] == [("pi_2", PRICE)]


def test_an_approved_staff_refund_does_not_give_way():
    assert withdrawn(*paid(), staff(6_000)) == frozenset()


def test_a_staff_refund_is_withdrawn_when_less_is_left():
    assert withdrawn(*paid(), staff(6_000), refund(5_000), percent=0) == {"it_staff"}
    assert withdrawn(*paid(), staff(6_000), refund(4_000), percent=0) == frozenset()
    assert withdrawn(*paid(), staff(6_000, started=True), refund(5_000), percent=0) == frozenset()


def test_the_newest_staff_refund_is_withdrawn_first():
    older, newer = staff(3_000, "it_1"), staff(3_000, "it_2", created_at=T0 + 11 * MINUTE)
    assert withdrawn(*paid(), older, newer, refund(5_000), percent=0) == {"it_2"}


def test_a_staff_refund_stays_when_withdrawing_the_automatic_one_makes_room():
    """50 % are waiting, then 40 go out of the dashboard: 10 stay due, and the 20 of staff still fit."""
    asked_later = staff(2_000, created_at=T0 + 90 * MINUTE)
    facts = [*paid(), refund_intent(5_000), refund(4_000), asked_later]
    assert withdrawn(*facts, percent=50) == {"it_refund"}
    assert refunds(*facts, percent=50) == {"pi_1": 1_000}


# Disputes.


@pytest.mark.parametrize("status", ["needs_response", "under_review", "warning_needs_response", "a_new_word"])
def test_an_open_dispute_holds_the_refund_back(status):
    """R15."""
    facts = flow(LEFT, *paid(), dispute(4_000, status, inquiry=status.startswith("warning")), decision=ended())
    verdict = decide(facts, NOW)
    assert (verdict.intents, verdict.refund_status) == ((), RefundStatus.PENDING)
    assert verdict.attentions == {(AttentionKind.REFUND_HELD, "pi_1")}
    unsent = [*paid(), refund_intent(PRICE), staff(1), dispute(4_000, status)]
    assert withdrawn(*unsent) == {"it_refund", "it_staff"}
    assert withdrawn(*paid(), refund_intent(PRICE, started=True), dispute(4_000, status)) == frozenset()


def test_a_dispute_holds_back_only_its_own_payment():
    facts = flow(LEFT, *paid(), *paid(2), dispute(of=2), decision=ended())
    verdict = decide(facts, NOW)
    assert [(due.target, due.amount) for due in verdict.intents] == [("pi_1", PRICE)]
    assert verdict.attentions == {(AttentionKind.REFUND_HELD, "pi_2")}
    assert withdrawn(*paid(), *paid(2), dispute(of=2), refund_intent(PRICE)) == frozenset()


@pytest.mark.parametrize("status", ["won", "warning_closed", "prevented"])
def test_a_dispute_that_was_not_lost_releases_the_refund(status):
    assert refunds(*paid(), dispute(4_000, status)) == {"pi_1": PRICE}
    assert withdrawn(*paid(), refund_intent(PRICE), dispute(4_000, status)) == frozenset()


def test_a_lost_dispute_is_money_that_went_back():
    assert refunds(*paid(), dispute(PRICE, "lost")) == {}
    assert refunds(*paid(), dispute(4_000, "lost", refundable=True)) == {"pi_1": 6_000}
    assert refunds(*paid(), dispute(4_000, "lost", refundable=True), percent=50) == {"pi_1": 1_000}
    assert refunds(*paid(), dispute(6_000, "lost", refundable=True), percent=50) == {}
    assert refunds(*paid(), *sent(3_000, automatic=False), dispute(4_000, "lost", refundable=True)) == {"pi_1": 3_000}


def test_what_stripe_does_not_let_us_return_after_a_lost_dispute_needs_a_person():
    verdict = decide(flow(LEFT, *paid(), dispute(4_000, "lost"), decision=ended()), NOW)
    assert (verdict.intents, verdict.refund_status) == ((), RefundStatus.FAILED)
    assert verdict.attentions == {(AttentionKind.REFUND_BLOCKED, "pi_1")}
    other = decide(flow(LEFT, *paid(), *paid(2), dispute(PRICE, "lost", of=2), decision=ended()), NOW)
    assert [(due.target, due.amount) for due in other.intents] == [("pi_1", PRICE)]
    enough = decide(flow(LEFT, *paid(), dispute(PRICE, "lost"), decision=ended()), NOW)
    assert (enough.attentions, enough.refund_status) == (frozenset(), RefundStatus.NOT_APPLICABLE)


def test_the_surplus_of_a_double_payment_that_was_charged_back_is_not_sent_as_well():
    assert decide(flow(booking(), *paid(), *paid(2), dispute(PRICE, "lost", of=2)), NOW).intents == ()


def test_staff_may_refund_an_inquiry_that_they_knew_of_if_stripe_allows_it():
    """R16; the second person is asked for before, when they request it."""
    known: dict[str, Any] = {"inquiry": True, "status": "warning_needs_response", "recorded_at": T0 + HOUR}
    knowing = staff(1_000, created_at=T0 + HOUR + SECOND)
    assert withdrawn(*paid(), knowing, dispute(refundable=True, **known), percent=0) == frozenset()
    assert withdrawn(*paid(), knowing, dispute(**known), percent=0) == {"it_staff"}
    assert withdrawn(*paid(), staff(1_000), dispute(refundable=True, **known), percent=0) == {"it_staff"}
    formal = dispute(refundable=True, **known | {"inquiry": False})
    assert withdrawn(*paid(), knowing, formal, percent=0) == {"it_staff"}
    automatic = refund_intent(PRICE, created_at=T0 + HOUR + SECOND)
    assert withdrawn(*paid(), automatic, dispute(refundable=True, **known)) == {"it_refund"}


# Money that does not match goes back after the end, in a pot of its own.


def test_mismatched_money_is_sent_back_beside_the_rest():
    strange = payment(2, 7_777, intent_id=None)
    assert refunds(*paid(), strange, percent=50) == {"pi_1": 5_000, "pi_2": 7_777}
    assert refunds(*paid(), strange, refund(7_000, of=2), percent=50) == {"pi_1": 5_000, "pi_2": 777}
    assert refunds(*paid(), strange, *sent(7_777, "failed", of=2), percent=50) == {"pi_1": 5_000}


def test_mismatched_money_in_another_currency_goes_back_as_it_came():
    assert refunds(opened(), payment(amount=PRICE, currency="EUR")) == {"pi_1": PRICE}


def test_a_refund_pending_for_five_days_needs_a_person():
    """R14: and it is counted, so that no second one is made."""
    facts = flow(LEFT, *paid(), *sent(PRICE, "pending"), decision=ended())
    slow = T0 + HOUR + 5 * DAY
    assert (decide(facts, slow - SECOND).attentions, decide(facts, slow - SECOND).wake_at) == (frozenset(), slow)
    assert decide(facts, slow).attentions == {(AttentionKind.REFUND_SLOW, "re_it_refund")}
    assert decide(facts, slow).intents == ()
    assert not decide(flow(LEFT, *paid(), *sent(PRICE), decision=ended()), slow).attentions


def test_money_that_goes_back_is_read_first():
    verdict = decide(flow(LEFT, *paid(provisional=True), decision=ended()), NOW)
    assert [due.kind for due in verdict.intents] == [IntentKind.READ_PAYMENT]
    waiting = call(IntentKind.READ_PAYMENT, "pi_1", started=True)
    assert decide(flow(LEFT, *paid(provisional=True), waiting, decision=ended()), NOW).intents == ()
