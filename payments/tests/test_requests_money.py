"""Waiving what is owed, and accepting money that does not match (LIFECYCLE 4; R31, R33)."""

import pytest

from api.errors import BookingConflict, Forbidden, InvalidRequest
from bookings.facts import BookingStatus, IntentKind, Outcome, PaymentStatus
from bookings.ids import intent_id
from bookings.models import Intent
from bookings.records import record_claim
from bookings.staff import RESOLVE_PAYMENT, WAIVE_PAYMENT
from payments.models import Payment
from payments.records import record_checkout
from payments.refunding import request_return
from payments.requests import request_accept, request_waive
from payments.settlement import settled_flow
from payments.tests.rows import (
    DAY,
    HEARD,
    HOUR,
    PRICE,
    ask_to_cancel,
    begun,
    booked,
    checkout_seen,
    opened,
    opening,
    refunded,
    time_passes,
)
from payments.tests.staff import (
    attentions,
    mismatched_flow,
    now,
    paid_flow,
    reason_of,
    said,
    staff,
    took,
    unmatched_flow,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
BOTH = pytest.mark.parametrize("come", [mismatched_flow, unmatched_flow])


def sue():
    return staff(WAIVE_PAYMENT, RESOLVE_PAYMENT)


def waive(flow, by=None):
    return request_waive(flow, by or sue(), reason="A friend")


def accept(payment, by=None):
    return request_accept(payment, by or sue(), reason="Agreed by phone")


def refused(does, *args):
    with pytest.raises(BookingConflict) as refusal:
        does(*args)
    return reason_of(refusal)


def calls(flow, kind):
    return list(Intent.objects.filter(flow=flow, kind=kind).values_list("outcome", flat=True))


def waived(flow):
    flow.refresh_from_db()
    return flow.waived_at is not None


# Waiving.


def test_a_waived_booking_is_confirmed_and_nobody_can_pay_for_it_any_more():
    flow = booked()
    opened(flow)
    verdict = waive(flow)
    assert (verdict.due, verdict.payment_row, now(flow)) == (0, "P2", (PaymentStatus.PAID, BookingStatus.CONFIRMED))
    assert calls(flow, IntentKind.EXPIRE_CHECKOUT) == [Outcome.OPEN]
    assert said(flow)[0] == ("Payment waived by staff: A friend", sue().user.pk, "req-sue")


def test_a_waived_booking_has_no_hold(clock):
    flow = booked()
    waive(flow)
    clock.shift(HOUR)
    time_passes(flow)
    assert now(flow) == (PaymentStatus.PAID, BookingStatus.CONFIRMED)


def test_money_that_comes_after_a_waive_goes_back():
    flow = booked()
    opened(flow)
    waive(flow)
    took(flow, PRICE, for_intent=True)
    assert calls(flow, IntentKind.REFUND) == [Outcome.OPEN]


def test_waiving_needs_its_permission_and_a_reason():
    flow = booked()
    with pytest.raises(Forbidden):
        waive(flow, staff(RESOLVE_PAYMENT, name="tom"))
    with pytest.raises(InvalidRequest):
        request_waive(flow, sue(), reason="")
    assert not waived(flow)


def test_waiving_twice_is_waiving_once(clock):
    flow = booked()
    waive(flow)
    lines, first = said(flow), flow.waived_at
    clock.shift(HOUR)
    assert waive(flow).due == 0
    assert (said(flow), flow.waived_at) == (lines, first)


def test_what_is_paid_is_not_waived():
    flow, _ = paid_flow()
    assert (refused(waive, flow), waived(flow)) == ("paid", False)


def test_what_has_ended_is_not_waived():
    flow = booked()
    ask_to_cancel(flow)
    assert (refused(waive, flow), waived(flow)) == ("ended", False)


def test_a_hold_that_ran_out_unnoticed_has_ended_the_flow(clock):
    """The sweeper has not come by yet, and the hold is over all the same (D4)."""
    flow = booked()
    with settled_flow(flow.id, HEARD) as locked:
        record_checkout(locked, checkout_seen(opening(flow), "expired"))
    clock.shift(HOUR)
    assert (refused(waive, flow), waived(flow)) == ("ended", False)


def test_what_is_free_is_not_waived():
    flow = booked(price=0)
    assert (refused(waive, flow), waived(flow)) == ("free", False)


# Accepting.


@BOTH
def test_accepted_money_is_what_was_due(come):
    """R31, R33."""
    flow, payment = come()
    assert len(attentions(flow)) == 1
    verdict = accept(payment)
    assert (verdict.due, verdict.captured, verdict.payment_row) == (10_000, 10_000, "P7")
    assert now(flow) == (PaymentStatus.PAID, BookingStatus.CONFIRMED)
    assert (attentions(flow), calls(flow, IntentKind.REFUND)) == ([], [])
    assert said(flow)[0][0] == "Accepted by staff: 10000 USD (minor units): Agreed by phone"


def test_accepted_money_goes_back_by_the_policy():
    flow, payment = mismatched_flow()
    accept(payment)
    ask_to_cancel(flow, percent=50)
    assert Intent.objects.get(flow=flow, kind=IntentKind.REFUND).amount_minor == 5_000


def test_unresolved_money_keeps_the_slot_beyond_the_hold(clock):
    """D4 waits for it, so staff can still accept it."""
    flow, payment = mismatched_flow()
    with settled_flow(flow.id, HEARD) as locked:
        record_checkout(locked, checkout_seen(opening(flow), "expired"))
    clock.shift(HOUR)
    time_passes(flow)
    accept(payment)
    assert now(flow) == (PaymentStatus.PAID, BookingStatus.CONFIRMED)


def test_money_for_a_slot_that_was_never_seen_is_not_accepted_after_the_hold(clock):
    """It would go straight back, for the flow ends with it (D4)."""
    flow = begun()
    with settled_flow(flow.id, HEARD) as locked:
        record_claim(locked, event_id="EV-A", invitee_id="A", start=None)
    took(flow, 10_000)
    clock.shift(HOUR)
    assert refused(accept, Payment.objects.get()) == "ended"
    assert Payment.objects.get().accepted_at is None


@BOTH
def test_accepting_needs_its_permission(come):
    _, payment = come()
    with pytest.raises(Forbidden):
        accept(payment, staff(WAIVE_PAYMENT, name="tom"))
    payment.refresh_from_db()
    assert payment.accepted_at is None


@BOTH
def test_accepting_twice_is_accepting_once(come):
    flow, payment = come()
    accept(payment)
    lines = said(flow)
    assert accept(payment).captured == 10_000
    assert said(flow) == lines


def test_money_in_another_currency_is_not_accepted():
    _, payment = mismatched_flow(PRICE, "eur")
    assert refused(accept, payment) == "currency"


@BOTH
def test_beside_the_right_money_nothing_is_accepted(come):
    flow, payment = come()
    took(flow, PRICE, payment_intent_id="pi_2", for_intent=True)
    assert refused(accept, payment) == "paid"


@BOTH
def test_after_a_waive_nothing_is_accepted(come):
    """It would go straight back."""
    flow, payment = come()
    waive(flow)
    assert refused(accept, payment) == "waived"


@BOTH
def test_after_the_end_nothing_is_accepted(come):
    flow, payment = come()
    ask_to_cancel(flow)
    assert refused(accept, payment) == "ended"


@BOTH
def test_what_is_going_back_is_not_accepted(come):
    _, payment = come()
    request_return(payment, sue(), reason="Wrong sum", token=intent_id())
    assert refused(accept, payment) == "going back"


@BOTH
def test_what_went_back_is_not_accepted(come):
    flow, payment = come()
    refunded(flow, 10_000)
    assert refused(accept, payment) == "resolved"


def test_money_that_was_never_captured_is_not_accepted():
    flow = booked()
    opened(flow)
    refunded(flow, 1_000)
    assert refused(accept, Payment.objects.get()) == "resolved"


def test_a_waive_with_mismatched_money_leaves_that_to_be_returned(clock):
    flow, payment = mismatched_flow()
    waive(flow)
    assert now(flow) == (PaymentStatus.PENDING, BookingStatus.CONFIRMED)
    clock.shift(DAY)
    assert request_return(payment, sue(), reason="Wrong sum", token=intent_id()).amount_minor == 10_000
