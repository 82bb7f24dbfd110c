"""What Stripe says, merged: twice, late and in every order it ends the same (LIFECYCLE 3)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, permutations
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Model

from bookings.facts import AsyncResult, BookingStatus, IntentKind, Outcome, PaymentStatus
from bookings.locked import LockedFlow, values
from bookings.models import Booking, BookingFlow, Intent
from payments.models import Checkout, Dispute, Payment, Refund
from payments.records import close_intent, record_checkout, record_dispute, record_payment, record_refund
from payments.settlement import settled_flow
from payments.stripe_objects import DisputeSeen, RefundSeen
from payments.tests.rows import (
    HEARD,
    HOUR,
    MINUTE,
    PRICE,
    SECOND,
    T0,
    ask_to_cancel,
    begun,
    booked,
    charge_json,
    charge_seen,
    checkout_seen,
    dispute_seen,
    opened,
    opening,
    paid,
    payment_json,
    payment_seen,
    refund_seen,
    refunded,
    staff_refund,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
News = Callable[[LockedFlow], object]
ARRIVALS = {"recorded_at", "completed_at", "read_at"}
"""Our own times, which say when we heard of a thing."""


@pytest.fixture
def flow() -> BookingFlow:
    return booked()


def money() -> list[dict[str, Any]]:
    """All that is stored of the money, our own times left out."""
    rows: list[Model] = []
    for model in (Checkout, Payment, Refund, Dispute):
        rows += model.objects.order_by("pk")
    return [{name: value for name, value in values(row).items() if name not in ARRIVALS} for row in rows]


def after(flow: BookingFlow, news: Sequence[News]) -> list[dict[str, Any]]:
    """What is stored after this news, a second between each; nothing of it stays."""
    with transaction.atomic():
        with settled_flow(flow.id, HEARD) as locked:
            for one in news:
                one(locked)
                locked.now += SECOND
        found = [*money(), {"status": BookingFlow.objects.get(pk=flow.pk).payment_status}]
        transaction.set_rollback(True)
    return found


def assert_order_does_not_matter(flow: BookingFlow, *news: News) -> list[dict[str, Any]]:
    ends = after(flow, news)
    for order in permutations(news):
        assert after(flow, order) == ends
    for order in (news, news[::-1]):
        assert after(flow, [*order, *order]) == ends
    return ends


def checkout(flow: BookingFlow, *args: Any, **fields: Any) -> News:
    how = {name: fields.pop(name) for name in ("happened_at", "async_result", "read") if name in fields}
    seen = checkout_seen(opening(flow), *args, **fields)
    return lambda locked: record_checkout(locked, seen, **how)


def payment(seen: Any, **how: Any) -> News:
    return lambda locked: record_payment(locked, seen, **how)


def refund(seen: RefundSeen) -> News:
    return lambda locked: record_refund(locked, seen)


def dispute(seen: DisputeSeen) -> News:
    return lambda locked: record_dispute(locked, seen)


# Order.


def test_a_checkout_ends_the_same_in_every_order(flow):
    """Delayed: submitted, then the bank says yes."""
    ends = assert_order_does_not_matter(
        flow,
        checkout(flow, "open"),
        checkout(flow, "complete", happened_at=T0 + MINUTE, payment_intent="pi_1"),
        checkout(
            *(flow, "complete", "pi_1"), happened_at=T0 + HOUR, async_result=AsyncResult.SUCCEEDED
        ),
        payment(payment_seen(opening(flow)), happened_at=T0 + HOUR),
    )  # fmt: skip
    session, money_in, last = ends
    assert (session["status"], session["paid"], session["async_result"]) == ("complete", True, "succeeded")
    assert session["url"] == "https://checkout.stripe.com/c/pay/cs_test_1"
    assert (money_in["captured_minor"], money_in["captured_at"]) == (PRICE, T0 + HOUR)
    assert last == {"status": PaymentStatus.PAID}


def test_an_end_state_of_a_checkout_stays(flow):
    for first, second in (("complete", "expired"), ("expired", "complete"), ("complete", "open"), ("expired", "open")):
        ends = after(flow, [checkout(flow, first), checkout(flow, second)])
        assert ends[0]["status"] == first


def test_a_payment_ends_the_same_in_every_order(flow):
    """A card is declined, another one is charged."""
    ends = assert_order_does_not_matter(
        flow,
        payment(charge_seen(amount=0, id="ch_declined", at=T0 + MINUTE), happened_at=T0 + MINUTE),
        payment(payment_seen(opening(flow)), happened_at=T0 + 2 * MINUTE),
        checkout(flow, "complete", "pi_1", happened_at=T0 + 3 * MINUTE),
        payment(charge_seen(at=T0 + 2 * MINUTE - SECOND), happened_at=T0 + 4 * MINUTE),
    )
    money_in = ends[1]
    assert (money_in["captured_minor"], money_in["currency"], money_in["charge_id"]) == (PRICE, "USD", "ch_pi_1")
    assert (money_in["captured_at"], money_in["provisional"]) == (T0 + 2 * MINUTE - SECOND, False)
    assert money_in["intent_id"] == opening(flow).id


def test_until_the_charge_is_seen_the_earliest_event_of_a_capture_is_its_time(flow):
    ends = assert_order_does_not_matter(
        flow,
        payment(charge_seen(amount=0, id="ch_declined"), happened_at=T0 - MINUTE),
        payment(payment_seen(opening(flow)), happened_at=T0 + HOUR),
        checkout(flow, "complete", "pi_1", happened_at=T0 + 2 * HOUR),
    )
    assert (ends[1]["captured_at"], ends[1]["provisional"]) == (T0 + HOUR, True)


def test_a_refund_moves_up_in_rank_only(flow):
    opened(flow)
    paid(flow)
    statuses = ("pending", "requires_action", "succeeded", "failed")
    told = [refund(refund_seen(1_000, status)) for status in statuses]
    ends = assert_order_does_not_matter(flow, *told)
    assert ends[-2]["status"] == "failed"
    assert after(flow, told[:3])[-1] == {"status": PaymentStatus.PARTIALLY_REFUNDED}
    assert after(flow, told)[-1] == {"status": PaymentStatus.PAID}


def test_a_dispute_ends_the_same_in_every_order(flow):
    """R17: an inquiry, closed, becomes formal all the same; evidence is sent; it is lost."""
    opened(flow)
    paid(flow)
    seen = [
        dispute_seen("warning_needs_response"),
        dispute_seen("warning_closed"),
        dispute_seen("needs_response"),
        dispute_seen("under_review"),
        dispute_seen("lost", is_charge_refundable=False),
    ]
    told = [dispute(one) for one in seen]
    for (lower, one), (higher, another) in combinations(enumerate(told), 2):
        for order in ([one, another], [another, one]):
            end = after(flow, order)[-2]
            assert (end["status"], end["inquiry"]) == (seen[higher].status, higher <= 1), (lower, higher)
    ends = assert_order_does_not_matter(flow, *told[1:])
    assert ends[-1] == {"status": PaymentStatus.REFUNDED}


def test_the_movements_of_a_dispute_are_not_forgotten(flow):
    opened(flow)
    paid(flow)
    movement: dict[str, str | int] = {"id": "txn_1", "currency": "USD", "amount": -PRICE, "fee": 1_500, "net": -13_500}
    created, withdrawn = dispute_seen(), replace(dispute_seen(), balance_transactions=[movement])
    back = replace(dispute_seen("won"), balance_transactions=[{**movement, "id": "txn_2", "amount": PRICE}])
    ends = assert_order_does_not_matter(flow, *(dispute(one) for one in (created, withdrawn, back)))
    assert [one["id"] for one in ends[-2]["balance_transactions"]] == ["txn_1", "txn_2"]


# Once.


def test_hearing_a_thing_twice_leaves_no_second_trace(flow, clock):
    opened(flow)
    paid(flow)
    refunded(flow, 1_000)
    with settled_flow(flow.id, HEARD) as locked:
        record_dispute(locked, dispute_seen())
    row = BookingFlow.objects.get()
    before = (money(), row.updated_at, row.timeline.count(), Intent.objects.count())
    clock.shift(MINUTE)
    opened(flow)
    paid(flow)
    refunded(flow, 1_000)
    with settled_flow(flow.id, HEARD) as locked:
        record_dispute(locked, dispute_seen())
        record_payment(locked, charge_seen(), read=True)
    row = BookingFlow.objects.get()
    assert (money(), row.updated_at, row.timeline.count(), Intent.objects.count()) == before


def test_a_session_complete_and_paid_records_its_payment_with_it(flow):

    def breaks_off() -> None:
        with settled_flow(flow.id, HEARD) as locked:
            record_checkout(locked, checkout_seen(opening(flow), "complete", "pi_1"))
            assert Payment.objects.get().captured_minor == PRICE
            raise RuntimeError

    with pytest.raises(RuntimeError):
        breaks_off()
    assert (Checkout.objects.count(), Payment.objects.count()) == (0, 0)
    with settled_flow(flow.id, HEARD) as locked:
        record_checkout(locked, checkout_seen(opening(flow), "complete", "pi_1"))
    assert Booking.objects.get().status == BookingStatus.CONFIRMED
    assert Checkout.objects.get().payment_intent_id == Payment.objects.get().pk == "pi_1"


def test_the_most_ever_captured_counts_and_its_currency_is_fixed(flow):
    for amount in (5_000, PRICE, 3_000):
        with settled_flow(flow.id, HEARD) as locked:
            record_payment(locked, charge_seen(amount=amount))
    with settled_flow(flow.id, HEARD) as locked:
        record_payment(locked, charge_seen(currency="eur"))
    row = Payment.objects.get()
    assert (row.captured_minor, row.currency) == (PRICE, "USD")


def test_the_time_of_a_capture_is_provisional_until_the_charge_was_seen(flow):
    with settled_flow(flow.id, HEARD) as locked:
        record_payment(locked, payment_seen(opening(flow)), happened_at=T0 + MINUTE)
    assert Payment.objects.get().provisional
    assert Intent.objects.filter(kind=IntentKind.READ_PAYMENT, outcome=Outcome.OPEN).exists()
    with settled_flow(flow.id, HEARD) as locked:
        record_payment(locked, charge_seen(at=T0 + 2 * MINUTE))
        record_payment(locked, payment_seen(opening(flow)), happened_at=T0)
    row = Payment.objects.get()
    assert (row.provisional, row.captured_at) == (False, T0 + 2 * MINUTE)
    assert not Intent.objects.filter(kind=IntentKind.READ_PAYMENT, outcome=Outcome.OPEN).exists()


# Whose it is.


def test_an_intent_of_another_flow_in_the_metadata_is_not_believed(flow):
    other = begun(flow.session_type)
    foreign = opening(flow)
    with settled_flow(other.id, HEARD) as locked:
        record_checkout(locked, checkout_seen(foreign, "complete", payment_json(foreign, "pi_1", PRICE, charge_json())))
    assert Checkout.objects.get().intent is None
    assert Payment.objects.get().intent is None
    assert opening(flow).outcome == Outcome.OPEN
    assert BookingFlow.objects.get(pk=other.pk).attentions.filter(kind="UNMATCHED_PAYMENT", closed_at=None).exists()


def test_an_intent_of_another_kind_in_the_metadata_is_not_believed(flow):
    opened(flow)
    paid(flow)
    refunded(flow, 1_000, intent=opening(flow))
    assert Refund.objects.get().intent is None


def test_an_intent_has_one_checkout(flow):
    opened(flow)
    opened(flow, "cs_test_2")
    assert [one.intent_id for one in Checkout.objects.order_by("pk")] == [opening(flow).id, None]
    with pytest.raises(IntegrityError), transaction.atomic():
        Checkout.objects.filter(pk="cs_test_2").update(intent=opening(flow))


def test_an_intent_has_one_refund(flow):
    opened(flow)
    paid(flow)
    asked = staff_refund(flow, 1_000)
    refunded(flow, 1_000, intent=asked)
    refunded(flow, 1_000, intent=asked, id="re_2")
    assert [one.intent_id for one in Refund.objects.order_by("pk")] == [asked.id, None]
    with pytest.raises(IntegrityError), transaction.atomic():
        Refund.objects.filter(pk="re_2").update(intent=asked)


def test_a_refund_heard_of_before_its_payment_waits_for_the_money(flow):
    refunded(flow, 1_000)
    row = Payment.objects.get()
    assert (row.captured_minor, row.currency) == (0, "")
    opened(flow)
    paid(flow)
    assert BookingFlow.objects.get().payment_status == PaymentStatus.PARTIALLY_REFUNDED


def test_what_names_no_payment_intent_is_not_recorded(flow):
    with settled_flow(flow.id, HEARD) as locked:
        assert record_refund(locked, refund_seen(1_000, payment_intent=None)) is None
        assert record_dispute(locked, dispute_seen(payment_intent=None)) is None
    assert money() == []


def test_an_intent_is_closed_once(flow):
    with settled_flow(flow.id, HEARD) as locked:
        intent = opening(flow)
        close_intent(locked, intent, Outcome.REJECTED, "no")
        close_intent(locked, intent, Outcome.DONE, "yes")
    assert (opening(flow).outcome, opening(flow).note) == (Outcome.REJECTED, "no")


def test_a_fact_is_not_refused_because_more_went_back_than_came(flow):
    """R12: more may go back than we had a part in; what we intended stays within bounds."""
    opened(flow)
    paid(flow)
    ask_to_cancel(flow)
    refunded(flow, PRICE, id="re_a")
    refunded(flow, PRICE, id="re_b")
    assert Refund.objects.count() == 2
    assert Payment.objects.get().refund_intended_minor == 0


def test_the_database_refuses_to_intend_more_refunds_than_were_captured(flow):
    opened(flow)
    paid(flow)
    with pytest.raises(IntegrityError), transaction.atomic():
        Payment.objects.update(refund_intended_minor=PRICE + 1)
    with pytest.raises(IntegrityError), transaction.atomic():
        staff_refund(flow, PRICE + 1, started_at=T0)
