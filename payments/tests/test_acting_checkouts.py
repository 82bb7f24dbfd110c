"""Opening, reading and expiring checkouts (LIFECYCLE 6), with Stripe at the wire."""

import pytest
from django.utils import timezone

from api.calling import Deadline
from bookings.facts import AttentionKind, BookingStatus, IntentKind, Outcome, PaymentStatus
from bookings.models import Attention, Booking, BookingFlow, Intent
from payments import acting
from payments.models import Checkout, Payment
from payments.records import record_checkout
from payments.settlement import settled_flow
from payments.stripe_objects import parse_checkout
from payments.tests.rows import (
    DAY,
    HEARD,
    JSON,
    MINUTE,
    PRICE,
    SECOND,
    T0,
    ask_to_cancel,
    booked,
    charge_json,
    checkout_seen,
    only,
    opened,
    opening,
    paid,
    payment_json,
    session_json,
)
from payments.tests.wire import Failure

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
OPEN, SESSION, EXPIRE = (
    "POST /v1/checkout/sessions",
    "GET /v1/checkout/sessions/cs_test_1",
    "POST /v1/checkout/sessions/cs_test_1/expire",
)
PAYMENT = "GET /v1/payment_intents/pi_1"
NO = Failure(400, "Received unknown parameter", "parameter_unknown")
NOT_OPEN = Failure(400, "Only Checkout Sessions with a status in ['open'] can be expired.")


@pytest.fixture
def flow() -> BookingFlow:
    return booked()


def complete_and_paid(intent: Intent, amount: int = PRICE) -> JSON:
    return session_json(intent, "complete", payment_json(intent, "pi_1", amount, charge_json("pi_1", amount)))


def state(flow: BookingFlow) -> tuple[str, str]:
    return Booking.objects.get(flow=flow).status, BookingFlow.objects.get(pk=flow.pk).payment_status


def open_kinds(flow: BookingFlow) -> list[str]:
    return sorted(Intent.objects.filter(flow=flow, outcome=Outcome.OPEN).values_list("kind", flat=True))


def attention(flow: BookingFlow) -> list[tuple[str, str]]:
    return sorted(Attention.objects.filter(flow=flow, closed_at=None).values_list("kind", "object_id"))


def act(flow: BookingFlow, kind: IntentKind) -> Intent:
    """Make the one open call of this kind; the intent afterwards."""
    intent = Intent.objects.get(flow=flow, kind=kind, outcome=Outcome.OPEN)
    acting.act(intent.id)
    intent.refresh_from_db()
    return intent


# Open.


def test_the_session_carries_our_ids_and_the_price_of_the_snapshot(wire, flow):
    intent, booking = opening(flow), Booking.objects.get()
    flow.session_type.price_minor = 1  # what is offered today is another matter
    flow.session_type.save()
    wire.answers(OPEN, session_json(intent))
    act(flow, IntentKind.OPEN_CHECKOUT)
    sent = wire.calls[0].body
    ids = {
        "bookingId": booking.id,
        "calendlyEventUri": "https://api.calendly.com/scheduled_events/EV-A",
        "flowId": flow.id,
        "intent": intent.id,
    }
    for place in ("metadata", "payment_intent_data[metadata]"):
        assert {name: sent[f"{place}[{name}]"] for name in ids} == ids
    assert sent["line_items[0][price_data][unit_amount]"] == str(PRICE)
    assert sent["client_reference_id"] == booking.id
    assert sent["customer_email"] == "ann@example.com"
    assert sent["expires_at"] == str(int((T0 + 35 * MINUTE).timestamp()))


def test_the_end_of_a_session_is_frozen_when_it_is_decided_on(wire, flow, clock):
    wire.answers(OPEN, Failure(500), session_json(opening(flow)))
    for _ in range(4):
        act(flow, IntentKind.OPEN_CHECKOUT)
        if opening(flow).outcome == Outcome.DONE:
            break
        clock.shift(opening(flow).next_at - timezone.now())
    assert {call.body["expires_at"] for call in wire.calls} == {str(int((T0 + 35 * MINUTE).timestamp()))}


def test_a_session_that_would_end_too_soon_for_stripe_is_planned_anew(wire, flow, clock):
    first = opening(flow)
    clock.shift(6 * MINUTE)
    wire.answers(OPEN, Failure(400, "expires_at must be at least 30 minutes away"))
    acting.act(first.id)
    first.refresh_from_db()
    second = opening(flow)
    assert (first.outcome, second.outcome, second.expires_at) == (Outcome.WITHDRAWN, Outcome.OPEN, T0 + 41 * MINUTE)
    wire.answers(OPEN, session_json(second))
    acting.act(second.id)
    assert [call.key for call in wire.calls] == [first.id, second.id]
    assert attention(flow) == []


def test_a_clear_refusal_ends_the_call_and_tells_a_person(wire, flow, clock):
    wire.answers(OPEN, NO)
    intent = act(flow, IntentKind.OPEN_CHECKOUT)
    assert (intent.outcome, len(wire.calls)) == (Outcome.REJECTED, 1)
    assert "unknown parameter" in intent.note
    assert attention(flow) == [(AttentionKind.CALL_REFUSED, intent.id)]
    clock.shift(5 * MINUTE)
    acting.act(intent.id)
    assert (len(wire.calls), open_kinds(flow)) == (1, [])


def test_the_completed_session_may_be_told_of_before_the_answer_comes(wire, flow):
    def meanwhile() -> JSON:
        with settled_flow(flow.id, HEARD) as locked:
            record_checkout(locked, parse_checkout(complete_and_paid(opening(flow))))
        return session_json(opening(flow))

    wire.answers(OPEN, meanwhile)
    intent = act(flow, IntentKind.OPEN_CHECKOUT)
    assert intent.outcome == Outcome.DONE
    assert Checkout.objects.get().intent == intent
    assert Checkout.objects.get().status == "complete"
    assert state(flow) == (BookingStatus.CONFIRMED, PaymentStatus.PAID)


def test_a_session_opened_for_a_flow_that_has_ended_meanwhile_is_expired(wire, flow):
    def meanwhile() -> JSON:
        ask_to_cancel(flow)
        return session_json(opening(flow))

    wire.answers(OPEN, meanwhile)
    act(flow, IntentKind.OPEN_CHECKOUT)
    assert IntentKind.EXPIRE_CHECKOUT in open_kinds(flow)


# Read.


def test_a_session_past_its_end_is_read_and_followed(wire, flow, clock):
    opened(flow)
    clock.shift(35 * MINUTE)
    with settled_flow(flow.id, HEARD):
        pass
    assert open_kinds(flow) == [IntentKind.EXPIRE_CHECKOUT, IntentKind.READ_CHECKOUT]
    wire.answers(SESSION, session_json(opening(flow), "expired"))
    assert act(flow, IntentKind.READ_CHECKOUT).outcome == Outcome.DONE
    assert Checkout.objects.get().status == "expired"
    assert BookingFlow.objects.get().decision_row == "D4"
    assert open_kinds(flow) == [IntentKind.CANCEL_EVENT]


def test_a_payment_with_a_provisional_time_is_read_for_the_charges_own(wire, flow):
    opened(flow)
    with settled_flow(flow.id, HEARD) as locked:
        record_checkout(locked, checkout_seen(opening(flow), "complete", "pi_1"), happened_at=T0 + 9 * MINUTE)
    money = Payment.objects.get()
    assert (money.captured_minor, money.provisional, money.captured_at) == (PRICE, True, T0 + 9 * MINUTE)
    wire.answers(PAYMENT, payment_json(opening(flow), "pi_1", PRICE, charge_json("pi_1", at=T0 + 2 * MINUTE)))
    assert act(flow, IntentKind.READ_PAYMENT).outcome == Outcome.DONE
    money.refresh_from_db()
    assert (money.provisional, money.captured_at) == (False, T0 + 2 * MINUTE)
    assert money.receipt_url == "https://pay.stripe.com/receipts/pi_1"
    assert open_kinds(flow) == []


def test_an_object_that_stripe_does_not_know_is_not_read_for_ever(wire, flow, clock):
    opened(flow)
    clock.shift(35 * MINUTE)
    with settled_flow(flow.id, HEARD):
        pass
    wire.answers(SESSION, Failure(404, "No such session", "resource_missing"))
    intent = act(flow, IntentKind.READ_CHECKOUT)
    clock.shift(DAY)
    with settled_flow(flow.id, HEARD):
        pass
    assert intent.outcome == Outcome.REJECTED
    assert (AttentionKind.CALL_REFUSED, intent.id) in attention(flow)
    assert IntentKind.READ_CHECKOUT not in open_kinds(flow)


# Expire.


@pytest.fixture
def ended(flow: BookingFlow) -> BookingFlow:
    """A flow that was cancelled while its checkout was open."""
    opened(flow)
    ask_to_cancel(flow)
    return flow


def test_an_open_session_of_an_ended_flow_is_expired(wire, ended):
    wire.answers(EXPIRE, session_json(opening(ended), "expired"))
    intent = act(ended, IntentKind.EXPIRE_CHECKOUT)
    assert intent.outcome == Outcome.DONE
    assert [call.key for call in wire.calls] == [intent.id]
    assert Checkout.objects.get().status == "expired"


def test_a_session_that_was_paid_first_is_read_and_followed(wire, ended):
    wire.answers(EXPIRE, NOT_OPEN)
    wire.answers(SESSION, complete_and_paid(opening(ended)))
    intent = act(ended, IntentKind.EXPIRE_CHECKOUT)
    assert (intent.outcome, "can be expired" in intent.note) == (Outcome.WITHDRAWN, True)
    assert [call.does for call in wire.calls] == [EXPIRE, SESSION]
    assert Payment.objects.get().captured_minor == PRICE
    assert IntentKind.REFUND in open_kinds(ended)
    assert attention(ended) == []


def test_a_session_paid_at_the_end_of_the_hold_confirms_the_booking(wire, flow, clock):
    opened(flow)
    clock.shift(30 * MINUTE)
    with settled_flow(flow.id, HEARD):
        pass
    wire.answers(EXPIRE, NOT_OPEN)
    wire.answers(SESSION, complete_and_paid(opening(flow)))
    act(flow, IntentKind.EXPIRE_CHECKOUT)
    assert state(flow) == (BookingStatus.CONFIRMED, PaymentStatus.PAID)
    assert BookingFlow.objects.get().decision_row == ""
    assert open_kinds(flow) == []


def test_a_session_that_cannot_be_expired_and_stays_open_is_asked_for_thrice_and_then_shown_to_a_person(wire, ended):
    wire.answers(EXPIRE, NOT_OPEN)
    wire.answers(SESSION, session_json(opening(ended)))
    for _ in range(3):
        assert act(ended, IntentKind.EXPIRE_CHECKOUT).outcome == Outcome.WITHDRAWN
    assert IntentKind.EXPIRE_CHECKOUT not in open_kinds(ended)
    assert (AttentionKind.CALL_REFUSED, "cs_test_1") in attention(ended)
    assert len(wire.made(EXPIRE)) == 3


def test_an_expiry_is_tried_again_with_the_same_key(wire, ended, clock):
    wire.answers(EXPIRE, SystemExit(9), session_json(opening(ended), "expired"))
    intent = only(ended, IntentKind.EXPIRE_CHECKOUT)
    with pytest.raises(SystemExit):
        acting.act(intent.id)
    clock.shift(acting.LEASE)
    acting.act(intent.id)
    assert [call.key for call in wire.calls] == [intent.id] * 2
    assert only(ended, IntentKind.EXPIRE_CHECKOUT).outcome == Outcome.DONE


def test_an_expiry_whose_key_holds_a_saved_failure_is_asked_for_under_a_new_key(wire, ended, clock):
    intent = only(ended, IntentKind.EXPIRE_CHECKOUT)
    saved = Failure(500, "Something failed", headers={"Idempotent-Replayed": "true"})
    wire.answers(EXPIRE, saved, session_json(opening(ended), "expired"))
    acting.act(intent.id)
    clock.shift(15 * SECOND)
    acting.act(intent.id)
    assert [call.key for call in wire.calls] == [intent.id, f"{intent.id}:2"]
    assert only(ended, IntentKind.EXPIRE_CHECKOUT).outcome == Outcome.DONE


def test_the_lease_is_kept_while_the_session_is_read_back(wire, ended, clock):
    def slow() -> Failure:
        clock.shift(100 * SECOND)
        return NOT_OPEN

    def looked_at() -> JSON:
        lease_until = only(ended, IntentKind.EXPIRE_CHECKOUT).lease_until
        assert lease_until == timezone.now() + acting.LEASE
        return session_json(opening(ended), "expired")

    wire.answers(EXPIRE, slow)
    wire.answers(SESSION, looked_at)
    assert act(ended, IntentKind.EXPIRE_CHECKOUT).outcome == Outcome.WITHDRAWN


# Reading because somebody asks.


def test_somebody_who_asks_has_an_open_session_read_at_most_once_in_a_while(wire, flow, clock):
    opened(flow)
    wire.answers(SESSION, session_json(opening(flow)))
    for _ in range(2):
        acting.read_checkout_now("cs_test_1", HEARD, Deadline(5), 10 * SECOND)
    assert len(wire.calls) == 1
    clock.shift(10 * SECOND)
    wire.answers(SESSION, complete_and_paid(opening(flow)))
    acting.read_checkout_now("cs_test_1", HEARD, Deadline(5), 10 * SECOND)
    assert state(flow) == (BookingStatus.CONFIRMED, PaymentStatus.PAID)
    clock.shift(MINUTE)
    acting.read_checkout_now("cs_test_1", HEARD, Deadline(5), 10 * SECOND)
    assert len(wire.calls) == 2, "it is not open any more"


def test_reading_that_brings_nothing_new_leaves_no_trace_of_a_change(wire, flow, clock):
    opened(flow)
    before = BookingFlow.objects.get().updated_at
    clock.shift(MINUTE)
    wire.answers(SESSION, session_json(opening(flow)))
    acting.read_checkout_now("cs_test_1", HEARD, Deadline(5), 10 * SECOND)
    assert BookingFlow.objects.get().updated_at == before


# The walk.


def test_paying_confirms_and_a_second_session_paid_as_well_sends_one_back(wire, flow):
    opened(flow)
    paid(flow)
    assert state(flow) == (BookingStatus.CONFIRMED, PaymentStatus.PAID)
    second = opening(flow)  # as if asked for before the first was known to be paid
    second.pk, second.created_at = "it_second", T0 + SECOND
    second.save(force_insert=True)
    paid(flow, "cs_test_2", "pi_2")
    assert opening(flow) == second
    refunds = Intent.objects.filter(flow=flow, kind=IntentKind.REFUND)
    assert [(one.amount_minor, one.why) for one in refunds] == [(PRICE, "surplus")]
