"""Refunds that staff ask for: within what is left, one for each form, never around a dispute (R13, R15, R16, R29)."""

import pytest

from api.errors import BookingConflict, Forbidden, InvalidRequest, NotFound
from bookings.facts import AttentionKind, BookingStatus, IntentKind, Outcome, PaymentStatus
from bookings.ids import intent_id
from bookings.models import Intent
from bookings.staff import ISSUE_REFUND, RESOLVE_PAYMENT
from payments import acting
from payments.models import Payment
from payments.records import record_dispute, record_payment, record_refund
from payments.refunding import request_refund, request_return
from payments.settlement import settled_flow
from payments.tests.rows import (
    DAY,
    HEARD,
    PRICE,
    T0,
    ask_to_cancel,
    begun,
    booked,
    dispute_seen,
    jobs,
    offer,
    opened,
    opening,
    paid,
    payment_seen,
    refund_json,
    refund_seen,
    refunded,
    time_passes,
)
from payments.tests.staff import attentions, mismatched_flow, now, paid_flow, reason_of, said, staff, unmatched_flow

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
REFUND = "POST /v1/refunds"


def sue(*permissions):
    return staff(ISSUE_REFUND, *permissions)


def refund(payment, amount, by=None, **asked):
    return request_refund(payment, amount, by or sue(), **{"reason": "Kindness", "token": intent_id(), **asked})


def give_back(payment, by=None, **asked):
    return request_return(
        payment, by or staff(RESOLVE_PAYMENT), **{"reason": "Wrong sum", "token": intent_id(), **asked}
    )


def refunds_of(flow):
    rows = Intent.objects.filter(flow=flow, kind=IntentKind.REFUND).order_by("created_at", "pk")
    return [(row.amount_minor, row.outcome) for row in rows]


def disputed(flow, status, amount=PRICE, **dispute):
    with settled_flow(flow.id, HEARD) as locked:
        record_dispute(locked, dispute_seen(status, amount, **dispute))


def refused(payment, amount=1_000, **asked):
    """The reason why a refund may not be; nothing was written for it."""
    before = Intent.objects.count()
    with pytest.raises(BookingConflict) as refusal:
        refund(payment, amount, **asked)
    assert Intent.objects.count() == before
    return reason_of(refusal)


def test_a_refund_needs_its_permission():
    flow, payment = paid_flow()
    for other in (staff(name="idle"), staff(RESOLVE_PAYMENT, name="support")):
        with pytest.raises(Forbidden):
            refund(payment, 1_000, other)
    assert refunds_of(flow) == []
    assert refund(payment, 1_000).requested_by == sue().user


def test_a_permission_without_being_staff_is_not_enough():
    flow, payment = paid_flow()
    former = sue()
    former.user.is_staff = False
    with pytest.raises(Forbidden):
        refund(payment, 1_000, former)
    assert refunds_of(flow) == []


def test_a_partial_refund_goes_out_and_leaves_the_booking_as_it_is(wire):
    flow, payment = paid_flow()
    intent = refund(payment, 4_000)
    assert jobs()[-1] == ("payments.act", {"intent_id": intent.id})
    assert said(flow)[0] == ("Asked by staff: a refund of 4000 USD (minor units): Kindness", sue().user.pk, "req-sue")
    wire.answers(REFUND, refund_json(4_000, intent=intent))
    acting.act(intent.id)
    assert now(flow) == (PaymentStatus.PARTIALLY_REFUNDED, BookingStatus.CONFIRMED)
    assert (wire.calls[0].key, wire.calls[0].body["amount"]) == (intent.id, "4000")


def test_all_of_it_may_go_back_and_the_booking_stays(wire):
    flow, payment = paid_flow()
    intent = refund(payment, PRICE)
    wire.answers(REFUND, refund_json(PRICE, intent=intent))
    acting.act(intent.id)
    assert now(flow) == (PaymentStatus.REFUNDED, BookingStatus.CONFIRMED)


def test_two_clicks_on_one_form_are_one_refund():
    flow, payment = paid_flow()
    token = intent_id()
    first, second = (refund(payment, 1_000, token=token) for _ in range(2))
    assert (first, refunds_of(flow)) == (second, [(1_000, Outcome.OPEN)])
    refund(payment, 1_000)
    assert len(refunds_of(flow)) == 2


def test_a_form_sent_again_answers_with_what_became_of_it(wire):
    _, payment = paid_flow()
    token = intent_id()
    wire.answers(REFUND, lambda: refund_json(PRICE, intent=Intent.objects.get(pk=token)))
    acting.act(refund(payment, PRICE, token=token).id)
    assert refund(payment, PRICE, token=token).outcome == Outcome.DONE
    assert len(wire.calls) == 1


def test_a_form_sent_again_with_something_else_in_it_is_refused():
    _, payment = paid_flow()
    token = intent_id()
    refund(payment, 1_000, token=token)
    assert refused(payment, 2_000, token=token) == "other form"
    assert refused(payment, 1_000, token=token, by=staff(ISSUE_REFUND, name="tom")) == "other form"


@pytest.mark.parametrize("token", ["", "it_1", "bk_" + "0" * 26, "it_" + "U" * 26, "it_" + "0" * 26 + "\n"])
def test_a_form_needs_a_token(token):
    flow, payment = paid_flow()
    with pytest.raises(InvalidRequest):
        refund(payment, 1_000, token=token)
    assert refunds_of(flow) == []


@pytest.mark.parametrize("amount", [0, -1])
def test_only_money_can_go_back(amount):
    flow, payment = paid_flow()
    with pytest.raises(InvalidRequest):
        refund(payment, amount)
    assert refunds_of(flow) == []


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001, "nul\x00"])
def test_a_refund_needs_a_reason(reason):
    flow, payment = paid_flow()
    with pytest.raises(InvalidRequest):
        refund(payment, 1_000, reason=reason)
    assert refunds_of(flow) == []


def test_no_more_than_is_left_can_go_back():
    """R29: what is asked for counts from the moment of asking, and what went out in the dashboard counts too."""
    flow, payment = paid_flow()
    refund(payment, 5_000)
    refunded(flow, 3_000)
    with pytest.raises(BookingConflict) as refusal:
        refund(payment, 4_001)
    assert refusal.value.details == {"reason": "more than left", "left": 4_000}
    refund(payment, 4_000)
    assert refused(payment, 1) == "nothing left"


def test_what_failed_is_left_again():
    flow, payment = paid_flow()
    intent = refund(payment, PRICE)
    assert refused(payment, 1) == "nothing left"
    with settled_flow(flow.id, HEARD) as locked:
        record_refund(locked, refund_seen(PRICE, "failed", intent))
    refund(payment, PRICE)


def test_money_that_was_not_captured_cannot_go_back():
    flow = booked()
    opened(flow)
    refunded(flow, 1_000)  # Stripe speaks of the payment before we heard of any money
    assert refused(Payment.objects.get()) == "not captured"


def test_a_payment_of_another_booking_is_not_found():
    _, payment = paid_flow()
    payment.flow_id = begun(offer(event_type_id="ET2")).pk
    with pytest.raises(NotFound):
        refund(payment, 1_000)


def test_after_a_cancel_staff_may_send_the_rest():
    """What staff ask for comes on top of what the policy sends."""
    flow, payment = paid_flow()
    ask_to_cancel(flow, percent=50)
    assert refunds_of(flow) == [(6_000, Outcome.OPEN)]
    refund(payment, 6_000)
    assert refused(payment, 1) == "nothing left"
    assert refunds_of(flow) == [(6_000, Outcome.OPEN)] * 2


def test_after_the_start_staff_may_refund(clock):
    """R34."""
    flow, payment = paid_flow()
    clock.shift(11 * DAY)
    refund(payment, PRICE)
    assert now(flow) == (PaymentStatus.PAID, BookingStatus.COMPLETED)
    assert refunds_of(flow) == [(PRICE, Outcome.OPEN)]


# Disputes.


@pytest.mark.parametrize(
    ("status", "refundable"),
    [
        ("needs_response", True),
        ("under_review", False),
        ("lost", False),
        ("lost", True),
        ("warning_needs_response", False),
        ("warning_under_review", False),
    ],
)
def test_no_refund_while_a_dispute_stands(status, refundable):
    """R15, R16."""
    flow, payment = paid_flow()
    disputed(flow, status, 1_000, is_charge_refundable=refundable)
    assert refused(payment) == "disputed"


@pytest.mark.parametrize("status", ["won", "warning_closed", "prevented"])
def test_a_dispute_that_was_not_lost_is_over(status):
    flow, payment = paid_flow()
    disputed(flow, status)
    intent = refund(payment, 1_000)
    assert (intent.outcome, intent.needs_approval) == (Outcome.OPEN, False)


def test_an_inquiry_may_be_ended_by_a_refund_that_a_second_person_approves():
    """R16: whatever the amount."""
    flow, payment = paid_flow()
    disputed(flow, "warning_needs_response", is_charge_refundable=True)
    intent = refund(payment, 1)
    assert (intent.outcome, intent.needs_approval) == (Outcome.OPEN, True)
    assert acting.claim(intent.id) is None


def test_a_dispute_that_opens_takes_an_unsent_refund_back():
    """R15."""
    flow, payment = paid_flow()
    refund(payment, 1_000)
    disputed(flow, "needs_response")
    assert refunds_of(flow) == [(1_000, Outcome.WITHDRAWN)]
    assert refused(payment) == "disputed"


# Refunds that failed.


def failed_refund(flow, payment):
    intent = refund(payment, PRICE)
    with settled_flow(flow.id, HEARD) as locked:
        record_refund(locked, refund_seen(PRICE, "succeeded", intent))
    assert now(flow)[0] == PaymentStatus.REFUNDED
    with settled_flow(flow.id, HEARD) as locked:
        record_refund(locked, refund_seen(PRICE, "failed", intent))
    return intent


def test_a_refund_that_failed_can_be_replaced():
    """R13: money and payment status revert, a person looks, and staff send another."""
    flow, payment = paid_flow()
    failed = failed_refund(flow, payment)
    assert (now(flow), attentions(flow)) == (
        (PaymentStatus.PAID, BookingStatus.CONFIRMED),
        [AttentionKind.REFUND_FAILED],
    )
    again = refund(payment, PRICE, replaces=failed.id)
    assert (again.replaces, attentions(flow)) == (failed, [])
    with settled_flow(flow.id, HEARD) as locked:
        record_refund(locked, refund_seen(PRICE, "succeeded", again, id="re_2"))
    assert now(flow)[0] == PaymentStatus.REFUNDED


def test_a_refund_is_replaced_once():
    flow, payment = paid_flow()
    failed = failed_refund(flow, payment)
    assert refund(payment, 1_000, replaces=failed.id).outcome == Outcome.OPEN
    assert refused(payment, 1_000, replaces=failed.id) == "not failed"


def test_only_what_failed_can_be_replaced():
    flow, payment = paid_flow()
    sent = refund(payment, 1_000)
    assert refused(payment, 1_000, replaces=sent.id) == "not failed"
    assert refused(payment, 1_000, replaces=intent_id()) == "not failed"
    assert refused(payment, 1_000, replaces=opening(flow).id) == "not failed"


# What is going back by itself.


def test_an_unapproved_refund_does_not_take_what_goes_back_by_itself(settings):
    """Until the charge's own time is known nothing goes back by itself, yet it is spoken for."""
    settings.REFUND_APPROVAL_ABOVE = {"USD": 0}
    flow = booked()
    opened(flow)
    ask_to_cancel(flow)
    with settled_flow(flow.id, HEARD) as locked:
        record_payment(locked, payment_seen(opening(flow)), happened_at=T0)
    assert refused(Payment.objects.get(), PRICE) == "going back"


# Money that does not match.


@pytest.mark.parametrize("come", [mismatched_flow, unmatched_flow])
def test_money_that_does_not_match_goes_back_whole(wire, come):
    """R31, R33."""
    flow, payment = come()
    assert now(flow) == (PaymentStatus.PENDING, BookingStatus.PENDING)
    intent = give_back(payment)
    assert intent.amount_minor == 10_000
    wire.answers(REFUND, refund_json(10_000, intent=intent))
    acting.act(intent.id)
    assert now(flow) == (PaymentStatus.PENDING, BookingStatus.PENDING)  # the checkout is still open
    assert attentions(flow) == []


def test_money_in_another_currency_goes_back_in_it():
    _, payment = mismatched_flow(9_000, "eur")
    assert (give_back(payment).currency, payment.currency) == ("EUR", "EUR")


def test_returning_needs_its_permission():
    flow, payment = mismatched_flow()
    with pytest.raises(Forbidden):
        give_back(payment, sue())
    assert refunds_of(flow) == []


def test_money_that_matches_is_not_returned_this_way():
    flow, payment = paid_flow()
    with pytest.raises(BookingConflict) as refusal:
        give_back(payment)
    assert (reason_of(refusal), refunds_of(flow)) == ("resolved", [])


def test_what_is_on_its_way_back_is_not_returned_again():
    flow, payment = mismatched_flow()
    token = intent_id()
    assert give_back(payment, token=token) == give_back(payment, token=token)
    with pytest.raises(BookingConflict) as refusal:
        give_back(payment)
    assert (reason_of(refusal), refunds_of(flow)) == ("nothing left", [(10_000, Outcome.OPEN)])


def test_the_end_of_the_flow_returns_no_more_than_staff_left():
    flow, payment = mismatched_flow()
    give_back(payment)
    ask_to_cancel(flow)
    time_passes(flow)
    assert refunds_of(flow) == [(10_000, Outcome.OPEN)]


def test_two_payments_are_refunded_each_within_its_own(wire):
    """R7: the surplus goes back by itself, staff may add the rest."""
    flow, _ = paid_flow()
    opened(flow, "cs_test_2")
    paid(flow, "cs_test_2", "pi_2")
    assert refunds_of(flow) == [(PRICE, Outcome.OPEN)]
    assert refused(Payment.objects.get(pk="pi_2"), 1) == "nothing left"
    refund(Payment.objects.get(pk="pi_1"), PRICE)
