"""Sending money back (LIFECYCLE 6): never twice, never more than is left, whatever breaks on the way."""

import pytest
from django.contrib.auth.models import User

from bookings.facts import AttentionKind, IntentKind, Outcome, PaymentStatus
from bookings.models import Attention, BookingFlow, Intent
from payments import acting
from payments.models import Dispute, Payment, Refund
from payments.records import record_checkout, record_dispute, record_payment, record_refund
from payments.settlement import settled_flow
from payments.tests.rows import (
    DAY,
    HEARD,
    MINUTE,
    PRICE,
    SECOND,
    T0,
    ask_to_cancel,
    booked,
    charge_json,
    charge_seen,
    checkout_seen,
    dispute_json,
    dispute_seen,
    listing,
    opened,
    opening,
    paid,
    payment_json,
    refund_json,
    refund_seen,
    refunded,
    staff_refund,
    time_passes,
)
from payments.tests.wire import Failure

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
REFUND, REFUNDS, DISPUTES, PAYMENT = (
    "POST /v1/refunds",
    "GET /v1/refunds",
    "GET /v1/disputes",
    "GET /v1/payment_intents/pi_1",
)
ALREADY = Failure(400, "Charge ch_pi_1 has already been refunded.", "charge_already_refunded")
TOO_MUCH = Failure(400, "Refund amount ($120.00) is greater than unrefunded amount on charge ($90.00)")
DISPUTED = Failure(400, "Charge ch_pi_1 has been charged back", "charge_disputed")
DOWN = Failure(503, "Down")


@pytest.fixture
def flow() -> BookingFlow:
    """A paid booking."""
    flow = booked()
    opened(flow)
    paid(flow)
    return flow


@pytest.fixture
def ended(flow: BookingFlow) -> BookingFlow:
    """The same, cancelled by staff: all goes back."""
    ask_to_cancel(flow)
    return flow


def the_refund(flow: BookingFlow) -> Intent:
    """The newest one."""
    return Intent.objects.filter(flow=flow, kind=IntentKind.REFUND).latest("created_at", "pk")


def refunds_of(flow: BookingFlow) -> list[tuple[int, str]]:
    rows = Intent.objects.filter(flow=flow, kind=IntentKind.REFUND).order_by("created_at", "pk")
    return list(rows.values_list("amount_minor", "outcome"))


def attention(flow: BookingFlow) -> list[tuple[str, str]]:
    return sorted(Attention.objects.filter(flow=flow, closed_at=None).values_list("kind", "object_id"))


def payment_status() -> str:
    return BookingFlow.objects.get().payment_status


def stripe_now_says(wire, *, refunds=(), disputes=()) -> None:
    """What reading back shows."""
    wire.answers(PAYMENT, payment_json(None, "pi_1", PRICE, charge_json()))
    wire.answers(REFUNDS, listing(*refunds))
    wire.answers(DISPUTES, listing(*disputes))


# One refund, once.


def test_what_is_due_is_sent_back_and_the_refund_carries_our_intent(wire, ended):
    intent = the_refund(ended)
    assert Payment.objects.get().refund_intended_minor == PRICE
    wire.answers(REFUND, refund_json(PRICE, intent=intent))
    acting.act(intent.id)
    sent = wire.calls[0]
    assert (sent.key, sent.body["payment_intent"], sent.body["amount"]) == (intent.id, "pi_1", str(PRICE))
    assert sent.body["metadata[intent]"] == intent.id
    assert Refund.objects.get().intent == intent
    assert (refunds_of(ended), payment_status()) == ([(PRICE, Outcome.DONE)], PaymentStatus.REFUNDED)
    assert Payment.objects.get().refund_intended_minor == PRICE


@pytest.mark.parametrize("how", [KeyboardInterrupt(), SystemExit(9)])
def test_a_worker_that_dies_in_the_call_is_followed_by_one_with_the_same_key(wire, ended, clock, how):
    intent = the_refund(ended)
    wire.answers(REFUND, how, refund_json(PRICE, intent=intent))
    with pytest.raises(type(how)):
        acting.act(intent.id)
    acting.act(intent.id)
    assert len(wire.calls) == 1, "the lease still runs"
    clock.shift(acting.LEASE)
    acting.act(intent.id)
    assert [call.key for call in wire.calls] == [intent.id] * 2
    assert wire.calls[0].body == wire.calls[1].body
    assert refunds_of(ended) == [(PRICE, Outcome.DONE)]


def test_an_unknown_outcome_is_asked_for_again_with_the_same_key(wire, ended, clock):
    intent = the_refund(ended)
    wire.answers(REFUND, DOWN)
    acting.act(intent.id)
    clock.shift(15 * SECOND)
    wire.answers(REFUND, refund_json(PRICE, intent=intent))
    acting.act(intent.id)
    assert {call.key for call in wire.calls} == {intent.id}
    assert refunds_of(ended) == [(PRICE, Outcome.DONE)]


def test_the_refund_may_be_told_of_before_its_answer_comes(wire, ended):
    """R11"""
    intent = the_refund(ended)

    def meanwhile():
        refunded(ended, PRICE, intent=intent)
        assert the_refund(ended).outcome == Outcome.DONE
        return refund_json(PRICE, "pending", intent=intent)

    wire.answers(REFUND, meanwhile)
    acting.act(intent.id)
    assert (Refund.objects.get().status, refunds_of(ended)) == ("succeeded", [(PRICE, Outcome.DONE)])


def test_the_refund_may_be_told_of_after_the_worker_died_and_is_not_sent_again(wire, ended, clock):
    intent = the_refund(ended)
    wire.answers(REFUND, SystemExit(9))
    with pytest.raises(SystemExit):
        acting.act(intent.id)
    refunded(ended, PRICE, "pending", intent=intent)
    clock.shift(acting.LEASE)
    acting.act(intent.id)
    assert (len(wire.calls), refunds_of(ended)) == (1, [(PRICE, Outcome.DONE)])


# What must be known, and who must have agreed.


def test_no_refund_is_sent_while_the_time_of_the_capture_is_provisional(wire):
    flow = booked()
    opened(flow)
    with settled_flow(flow.id, HEARD) as locked:
        record_checkout(locked, checkout_seen(opening(flow), "complete", "pi_1"), happened_at=T0)
    asked = staff_refund(flow, 1_000)
    assert acting.claim(asked.id) is None
    with settled_flow(flow.id, HEARD) as locked:
        record_payment(locked, charge_seen())
    assert acting.claim(asked.id)


def test_a_refund_that_needs_a_second_person_waits_for_her(wire, flow):
    asked = staff_refund(flow, 1_000, needs_approval=True)
    assert acting.due_intents(T0, 10) == []
    assert acting.claim(asked.id) is None
    assert Payment.objects.get().refund_intended_minor == 1_000, "reserved"
    boss = User.objects.create(username="boss")
    Intent.objects.filter(pk=asked.pk).update(approved_by=boss, approved_at=T0)
    wire.answers(REFUND, refund_json(1_000, intent=asked))
    acting.act(asked.id)
    assert refunds_of(flow) == [(1_000, Outcome.DONE)]


def test_a_refund_is_not_sent_once_a_dispute_is_heard_of(wire, ended):
    """R15"""
    with settled_flow(ended.id, HEARD) as locked:
        record_dispute(locked, dispute_seen())
    acting.act(the_refund(ended).id)
    assert wire.calls == []
    assert refunds_of(ended) == [(PRICE, Outcome.WITHDRAWN)]
    assert attention(ended) == [(AttentionKind.REFUND_HELD, "pi_1")]


def test_staff_may_refund_an_inquiry_that_they_knew_of(wire, flow, clock):
    """R16"""
    with settled_flow(flow.id, HEARD) as locked:
        record_dispute(locked, dispute_seen("warning_needs_response", is_charge_refundable=True))
    clock.shift(MINUTE)
    asked = staff_refund(flow, PRICE)
    wire.answers(REFUND, refund_json(PRICE, intent=asked))
    acting.act(asked.id)
    assert refunds_of(flow) == [(PRICE, Outcome.DONE)]


# Refused.


def test_a_clear_refusal_is_rejected_shown_and_never_repeated(wire, ended, clock):
    wire.answers(REFUND, Failure(400, "Insufficient funds", "balance_insufficient"))
    intent = the_refund(ended)
    acting.act(intent.id)
    assert attention(ended) == [(AttentionKind.REFUND_FAILED, intent.id)]
    assert Payment.objects.get().refund_intended_minor == 0
    for _ in range(3):
        clock.shift(DAY)
        time_passes(ended)
        acting.act(intent.id)
    assert (len(wire.calls), refunds_of(ended)) == (1, [(PRICE, Outcome.REJECTED)])


def test_a_key_that_stripe_does_not_know_is_no_fault_of_the_refund(wire, ended, clock):
    intent = the_refund(ended)
    wire.answers(REFUND, Failure(401, "Invalid API Key provided"), refund_json(PRICE, intent=intent))
    acting.act(intent.id)
    assert Attention.objects.filter(kind=AttentionKind.PROVIDER_FORBIDDEN, object_id="stripe", closed_at=None).exists()
    assert refunds_of(ended) == [(PRICE, Outcome.OPEN)]
    clock.shift(MINUTE)
    acting.act(intent.id)
    assert refunds_of(ended) == [(PRICE, Outcome.DONE)]


def test_a_refund_that_staff_send_in_its_place_closes_the_attention(wire, ended):
    wire.answers(REFUND, Failure(400, "Insufficient funds", "balance_insufficient"))
    first = the_refund(ended)
    acting.act(first.id)
    second = staff_refund(ended, PRICE, replaces=first)
    wire.answers(REFUND, refund_json(PRICE, intent=second))
    acting.act(second.id)
    assert (attention(ended), payment_status()) == ([], PaymentStatus.REFUNDED)


def test_one_that_was_refunded_already_is_read_recorded_and_withdrawn(wire, ended):
    wire.answers(REFUND, ALREADY)
    stripe_now_says(wire, refunds=[refund_json(PRICE, id="re_dashboard")])
    acting.act(the_refund(ended).id)
    assert [call.does for call in wire.calls] == [REFUND, PAYMENT, REFUNDS, DISPUTES]
    assert (refunds_of(ended), payment_status()) == ([(PRICE, Outcome.WITHDRAWN)], PaymentStatus.REFUNDED)
    assert Refund.objects.get().intent is None
    assert attention(ended) == []
    assert Payment.objects.get().refund_intended_minor == 0


def test_one_that_is_more_than_is_left_sends_the_rest(wire, ended):
    wire.answers(REFUND, TOO_MUCH)
    stripe_now_says(wire, refunds=[refund_json(3_000, id="re_dashboard")])
    acting.act(the_refund(ended).id)
    assert sorted(refunds_of(ended)) == [(9_000, Outcome.OPEN), (PRICE, Outcome.WITHDRAWN)]


def test_one_that_is_disputed_shows_the_dispute_and_waits(wire, ended):
    wire.answers(REFUND, DISPUTED)
    stripe_now_says(wire, disputes=[dispute_json()])
    acting.act(the_refund(ended).id)
    assert Dispute.objects.get().status == "needs_response"
    assert refunds_of(ended) == [(PRICE, Outcome.WITHDRAWN)]
    assert attention(ended) == [(AttentionKind.REFUND_HELD, "pi_1")]


@pytest.mark.parametrize("refusal", [ALREADY, TOO_MUCH, DISPUTED])
def test_one_whose_refusal_nothing_explains_is_rejected_and_not_sent_over_and_over(wire, ended, refusal):
    wire.answers(REFUND, refusal)
    stripe_now_says(wire)
    intent = the_refund(ended)
    acting.act(intent.id)
    assert refunds_of(ended) == [(PRICE, Outcome.REJECTED)]
    assert attention(ended) == [(AttentionKind.REFUND_FAILED, intent.id)]


def test_news_that_came_before_the_refusal_explains_it_too(wire, ended):
    def meanwhile():
        refunded(ended, 3_000, id="re_dashboard")
        return TOO_MUCH

    wire.answers(REFUND, meanwhile)
    stripe_now_says(wire, refunds=[refund_json(3_000, id="re_dashboard")])
    acting.act(the_refund(ended).id)
    assert sorted(refunds_of(ended)) == [(9_000, Outcome.OPEN), (PRICE, Outcome.WITHDRAWN)]
    assert attention(ended) == []


# A key that proves nothing any more.


def test_after_a_day_the_refund_is_looked_up_and_recorded_without_a_second_call(wire, ended, clock):
    intent = the_refund(ended)
    wire.answers(REFUND, SystemExit(9))
    with pytest.raises(SystemExit):
        acting.act(intent.id)
    clock.shift(acting.KEY_LIFE)
    wire.answers(REFUNDS, listing(refund_json(5, id="re_other"), refund_json(PRICE, intent=intent)))
    acting.act(intent.id)
    assert [call.does for call in wire.calls] == [REFUND, REFUNDS]
    assert Refund.objects.get().intent == intent
    assert refunds_of(ended) == [(PRICE, Outcome.DONE)]


def test_after_a_day_with_nothing_found_it_is_sent_under_a_new_key(wire, ended, clock):
    intent = the_refund(ended)
    wire.answers(REFUND, SystemExit(9), refund_json(PRICE, intent=intent))
    with pytest.raises(SystemExit):
        acting.act(intent.id)
    clock.shift(acting.KEY_LIFE)
    wire.answers(REFUNDS, listing(refund_json(5, id="re_other")))
    acting.act(intent.id)
    assert [call.key for call in wire.made(REFUND)] == [intent.id, f"{intent.id}:2"]
    assert refunds_of(ended) == [(PRICE, Outcome.DONE)]


def test_a_saved_failure_is_looked_up_before_a_new_key(wire, ended, clock):
    intent = the_refund(ended)
    saved = Failure(500, "Something failed", headers={"Idempotent-Replayed": "true"})
    wire.answers(REFUND, saved, refund_json(PRICE, intent=intent))
    acting.act(intent.id)
    clock.shift(15 * SECOND)
    wire.answers(REFUNDS, listing())
    acting.act(intent.id)
    assert [call.does for call in wire.calls] == [REFUND, REFUNDS, REFUND]
    assert [call.key for call in wire.made(REFUND)] == [intent.id, f"{intent.id}:2"]


def test_a_key_that_was_used_with_other_words_is_looked_up_before_a_new_one(wire, ended, clock):
    """A new release may say a thing in other words; then Stripe refuses the key, and perhaps the call was made."""
    intent = the_refund(ended)
    other_words = Failure(400, "Keys can only be used with the same parameters", type="idempotency_error")
    wire.answers(REFUND, other_words, refund_json(PRICE, intent=intent))
    acting.act(intent.id)
    assert the_refund(ended).outcome == Outcome.OPEN
    clock.shift(15 * SECOND)
    wire.answers(REFUNDS, listing())
    acting.act(intent.id)
    assert [call.key for call in wire.made(REFUND)] == [intent.id, f"{intent.id}:2"]
    assert refunds_of(ended) == [(PRICE, Outcome.DONE)]


# Afterwards.


def test_a_refund_that_fails_after_it_succeeded_reverts_the_money_and_is_not_sent_again(wire, ended):
    """R13"""
    intent = the_refund(ended)
    wire.answers(REFUND, refund_json(PRICE, intent=intent))
    acting.act(intent.id)
    refunded(ended, PRICE, "failed", intent=intent, failure_reason="insufficient_funds")
    assert payment_status() == PaymentStatus.PAID
    assert Payment.objects.get().refund_intended_minor == 0
    assert attention(ended) == [(AttentionKind.REFUND_FAILED, intent.id)]
    assert refunds_of(ended) == [(PRICE, Outcome.DONE)]


def test_a_refund_that_stays_pending_is_counted_and_shown_after_five_days(wire, ended, clock):
    """R14"""
    intent = the_refund(ended)
    wire.answers(REFUND, refund_json(PRICE, "pending", intent=intent))
    acting.act(intent.id)
    clock.shift(5 * DAY)
    time_passes(ended)
    assert refunds_of(ended) == [(PRICE, Outcome.DONE)]
    assert (AttentionKind.REFUND_SLOW, "re_1") in attention(ended)


def test_money_sent_back_outside_is_not_sent_again(clock):
    """R12: a cancel at 50 % after 30 of 100 went out sends 20."""
    flow = booked(price=10_000)
    opened(flow)
    paid(flow)
    refunded(flow, 3_000)
    ask_to_cancel(flow, percent=50)
    assert refunds_of(flow) == [(2_000, Outcome.OPEN)]


def test_two_requests_of_staff_share_what_is_left(flow):
    """R29"""
    staff_refund(flow, 8_000)
    assert Payment.objects.get().refund_intended_minor == 8_000
    with settled_flow(flow.id, HEARD) as locked:
        record_refund(locked, refund_seen(3_000, id="re_dashboard"))
    assert Payment.objects.get().refund_intended_minor == 8_000
    with settled_flow(flow.id, HEARD) as locked:
        record_refund(locked, refund_seen(3_000, id="re_dashboard_2"))
    assert refunds_of(flow) == [(8_000, Outcome.WITHDRAWN)], "only 6,000 are left"
    assert Payment.objects.get().refund_intended_minor == 0
