"""The rows P1 to P8 of LIFECYCLE 5, and refundStatus: what the client is told about the money."""

from typing import Any

import pytest

from bookings.facts import AsyncResult, AttentionKind, CheckoutStatus, Outcome, PaymentStatus, RefundStatus
from bookings.lifecycle import decide
from bookings.tests.facts_builder import (
    DAY,
    HOLD_END,
    HOUR,
    MINUTE,
    PRICE,
    T0,
    Thing,
    booking,
    cancelled,
    checkout,
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

FAILED_LATER = checkout(status=CheckoutStatus.COMPLETE, async_result=AsyncResult.FAILED)
SUBMITTED = checkout(status=CheckoutStatus.COMPLETE, completed_at=T0 + MINUTE)


def payment_of(*things, **changes):
    verdict = decide(flow(booking(), *things, **changes), T0 + 20 * MINUTE)
    return verdict.payment_row, verdict.payment_status


UNMATCHED = payment(intent_id=None)
TOO_LITTLE: list[Thing] = [opened(), payment(amount=PRICE - 1)]
OTHER_CURRENCY = [opened(), payment(currency="EUR")]


@pytest.mark.parametrize("money", [[UNMATCHED], TOO_LITTLE, OTHER_CURRENCY], ids=["unmatched", "amount", "currency"])
def test_P1_money_that_does_not_match_is_pending(money):
    assert payment_of(*money) == ("P1", PaymentStatus.PENDING)
    assert payment_of(*money, FAILED_LATER) == ("P1", PaymentStatus.PENDING)
    assert payment_of(*money, price=0) == ("P1", PaymentStatus.PENDING)


def test_P1_is_over_once_that_money_is_back_or_accepted():
    assert payment_of(*TOO_LITTLE, refund(PRICE - 2)) == ("P1", PaymentStatus.PENDING)
    assert payment_of(*TOO_LITTLE, refund(PRICE - 1, "pending")) == ("P1", PaymentStatus.PENDING)
    assert payment_of(*TOO_LITTLE, refund(PRICE - 1)) == ("P5", PaymentStatus.UNPAID)
    assert payment_of(*TOO_LITTLE, dispute(PRICE - 1, "lost")) == ("P5", PaymentStatus.UNPAID)
    assert payment_of(opened(), payment(amount=PRICE - 1, accepted=True)) == ("P7", PaymentStatus.PAID)
    assert payment_of(payment(intent_id=None, accepted=True)) == ("P7", PaymentStatus.PAID)


def test_P1_does_not_hold_beside_matching_money():
    assert payment_of(*paid(), payment(2, 5, intent_id=None)) == ("P7", PaymentStatus.PAID)


@pytest.mark.parametrize("nothing_owed", [{"price": 0}, {"waived": True}])
def test_P2_nothing_is_owed(nothing_owed):
    assert payment_of(**nothing_owed) == ("P2", PaymentStatus.PAID)
    assert payment_of(opened(), checkout(), **nothing_owed) == ("P2", PaymentStatus.PAID)


@pytest.mark.parametrize("session", [checkout(), SUBMITTED])
def test_P3_a_checkout_may_still_be_paid(session):
    assert payment_of(opened(), session) == ("P3", PaymentStatus.PENDING)


def test_P3_holds_before_an_earlier_failure():
    again = [opened(2), checkout(2)]
    assert payment_of(opened(), FAILED_LATER, *again) == ("P3", PaymentStatus.PENDING)


def test_P4_the_bank_said_no():
    assert payment_of(opened(), FAILED_LATER) == ("P4", PaymentStatus.FAILED)
    assert payment_of(*paid(), FAILED_LATER) == ("P7", PaymentStatus.PAID)


def test_P5_nobody_paid():
    assert payment_of() == ("P5", PaymentStatus.UNPAID)
    assert payment_of(opened(), checkout(status=CheckoutStatus.EXPIRED)) == ("P5", PaymentStatus.UNPAID)
    assert payment_of(opened(), payment(amount=0, captured_at=None)) == ("P5", PaymentStatus.UNPAID)


def test_P6_all_is_back():
    assert payment_of(*paid(), refund(PRICE)) == ("P6", PaymentStatus.REFUNDED)
    assert payment_of(*paid(), *paid(2), refund(PRICE), refund(PRICE, of=2)) == ("P6", PaymentStatus.REFUNDED)


def test_P6_lost_disputes_are_money_that_is_gone():
    assert payment_of(*paid(), dispute(PRICE, "lost")) == ("P6", PaymentStatus.REFUNDED)
    assert payment_of(*paid(), dispute(6_000, "lost"), refund(4_000)) == ("P6", PaymentStatus.REFUNDED)
    assert payment_of(*paid(), dispute(PRICE, "lost"), refund(4_000)) == ("P6", PaymentStatus.REFUNDED)


def test_P7_the_price_is_there():
    assert payment_of(*paid()) == ("P7", PaymentStatus.PAID)


def test_P7_a_refunded_duplicate_stays_paid():
    """R7."""
    assert payment_of(*paid(), *paid(2)) == ("P7", PaymentStatus.PAID)
    assert payment_of(*paid(), *paid(2), refund(PRICE, of=2)) == ("P7", PaymentStatus.PAID)


@pytest.mark.parametrize("status", ["pending", "requires_action", "failed", "canceled", "a_new_word"])
def test_P7_a_refund_counts_only_once_it_succeeded(status):
    """R13: and one that fails days later gives the status back."""
    assert payment_of(*paid(), refund(PRICE, status)) == ("P7", PaymentStatus.PAID)


@pytest.mark.parametrize("status", ["needs_response", "under_review", "won", "warning_closed", "prevented"])
def test_P7_only_a_lost_dispute_counts(status):
    assert payment_of(*paid(), dispute(PRICE, status)) == ("P7", PaymentStatus.PAID)


def test_P7_waived_money_that_went_back_is_still_nothing_owed():
    assert payment_of(*paid(), refund(PRICE), waived=True) == ("P7", PaymentStatus.PAID)


def test_P8_a_part_is_back():
    assert payment_of(*paid(), refund(1)) == ("P8", PaymentStatus.PARTIALLY_REFUNDED)
    assert payment_of(*paid(), refund(PRICE - 1)) == ("P8", PaymentStatus.PARTIALLY_REFUNDED)
    assert payment_of(*paid(), dispute(1, "lost")) == ("P8", PaymentStatus.PARTIALLY_REFUNDED)


def test_refunds_of_mismatched_money_do_not_count_in_the_sums():
    verdict = decide(flow(booking(), *paid(), payment(2, 5, intent_id=None), refund(5, of=2)), T0 + HOUR)
    assert (verdict.captured, verdict.refunded, verdict.payment_row) == (PRICE, 0, "P7")
    assert not verdict.attentions


def test_disputed_is_shown_beside_the_payment_status():
    assert decide(flow(booking(), *paid(), dispute()), T0 + HOUR).disputed
    assert not decide(flow(booking(), *paid(), dispute(status="won")), T0 + HOUR).disputed
    assert decide(flow(booking(), *paid(), dispute(), *paid(2), dispute(of=2, status="won")), T0 + HOUR).disputed


# Money that does not match needs a person (R31, R33).


@pytest.mark.parametrize("decision", [None, ended()])
def test_a_mismatch_is_raised_until_the_money_is_back_or_accepted(decision):
    raised = (AttentionKind.AMOUNT_MISMATCH, "pi_1")
    assert raised in decide(flow(booking(), *TOO_LITTLE, decision=decision), T0 + HOUR).attentions
    returned = flow(booking(), *TOO_LITTLE, refund(PRICE - 1), decision=decision)
    assert raised not in decide(returned, T0 + HOUR).attentions
    accepted = flow(booking(), opened(), payment(amount=PRICE - 1, accepted=True), decision=decision)
    assert raised not in decide(accepted, T0 + HOUR).attentions


def test_money_without_an_intent_of_ours_is_raised_as_unmatched():
    verdict = decide(flow(booking(), UNMATCHED), T0 + 20 * MINUTE)
    assert verdict.attentions == {(AttentionKind.UNMATCHED_PAYMENT, "pi_1")}
    assert verdict.bookings["bk_A"].status == "PENDING"


def test_a_mismatched_payment_is_not_sent_back_before_the_end():
    assert not [due for due in decide(flow(booking(), *TOO_LITTLE), HOLD_END).intents if due.amount]


# refundStatus


def refund_status_of(*things, **changes):
    left = cancelled(booking(), T0 + HOUR)
    return decide(flow(left, *things, **{"decision": ended()} | changes), T0 + DAY).refund_status


def test_a_refund_that_failed_is_told_before_all_else():
    assert refund_status_of(*paid(), *sent(PRICE, "failed")) is RefundStatus.FAILED
    assert refund_status_of(*paid(), *sent(5_000), *sent(5_000, "failed", name="it_2")) is RefundStatus.FAILED
    refused = refund_intent(PRICE, outcome=Outcome.REJECTED, started=True)
    assert refund_status_of(*paid(), refused) is RefundStatus.FAILED


def test_a_refund_that_another_replaces_did_not_fail_for_the_client():
    failed = sent(PRICE, "failed")
    second: dict[str, Any] = {"name": "it_2", "replaces": "it_refund", "automatic": False}
    assert refund_status_of(*paid(), *failed, refund_intent(PRICE, **second)) is RefundStatus.PENDING
    assert refund_status_of(*paid(), *failed, *sent(PRICE, **second)) is RefundStatus.COMPLETED
    withdrawn = refund_intent(PRICE, **second, outcome=Outcome.WITHDRAWN)
    assert refund_status_of(*paid(), *failed, withdrawn) is RefundStatus.FAILED
    assert refund_status_of(*paid(), *failed, *sent(PRICE, "failed", **second)) is RefundStatus.FAILED


def test_money_that_stripe_will_not_return_after_a_lost_dispute_is_a_failed_refund():
    assert refund_status_of(*paid(), dispute(4_000, "lost")) is RefundStatus.FAILED


@pytest.mark.parametrize(
    "things",
    [
        [opened(), checkout()],
        [opened(), SUBMITTED],
        [opened(outcome=Outcome.OPEN)],
        paid(),
        [*paid(), dispute()],
        [*paid(), refund_intent(PRICE)],
        [*paid(), *sent(PRICE, "pending")],
        [*paid(), *sent(PRICE, "requires_action")],
        paid(provisional=True),
    ],
    ids=["open", "submitted", "unanswered", "due", "held", "waiting", "pending", "action", "provisional"],
)
def test_a_refund_is_pending_while_money_may_still_move(things):
    assert refund_status_of(*things) is RefundStatus.PENDING


def test_a_refund_is_complete_when_all_that_should_go_back_went():
    assert refund_status_of(*paid(), *sent(PRICE)) is RefundStatus.COMPLETED
    assert refund_status_of(*paid(), refund(PRICE)) is RefundStatus.COMPLETED
    assert refund_status_of(*paid(), *sent(5_000), decision=ended(percent=50)) is RefundStatus.COMPLETED


def test_no_refund_applies_where_nothing_should_go_back():
    assert refund_status_of() is RefundStatus.NOT_APPLICABLE
    assert refund_status_of(*paid(), decision=ended(percent=0)) is RefundStatus.NOT_APPLICABLE
    assert refund_status_of(price=0) is RefundStatus.NOT_APPLICABLE
