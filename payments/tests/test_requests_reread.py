"""Staff have a booking read back from both providers: what a webhook should have told us is heard late."""

import pytest

from api.errors import CalendlyApiError, Forbidden, StripeApiError
from bookings.facts import BookingStatus, PaymentStatus
from bookings.models import TimelineEntry
from bookings.records import record_claim
from bookings.staff import LINK_BOOKING, REREAD_BOOKING
from payments.models import Dispute, Refund
from payments.rereading import request_reread
from payments.settlement import settled_flow
from payments.tests.rows import (
    DAY,
    HEARD,
    PRICE,
    START,
    begun,
    booked,
    cancelled_json,
    charge_json,
    dispute_json,
    event_json,
    invitee_json,
    listing,
    opened,
    opening,
    payment_json,
    refund_json,
    session_json,
)
from payments.tests.staff import now, paid_flow, staff
from payments.tests.wire import Failure

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
EVENT, INVITEE = "GET /scheduled_events/EV-A", "GET /scheduled_events/EV-A/invitees/A"
SESSION, PAYMENT = "GET /v1/checkout/sessions/cs_test_1", "GET /v1/payment_intents/pi_1"
GONE = Failure(404, "The resource you requested does not exist.", "Resource Not Found")
DOWN = Failure(503, "Down")


def reread(flow, by=None):
    request_reread(flow, by or staff(REREAD_BOOKING))


def calendly_has(wire, invitee_id="A", invitee=None, **event):
    wire.answers(f"GET /scheduled_events/EV-{invitee_id}", event_json(invitee_id, **event))
    wire.answers(f"GET /scheduled_events/EV-{invitee_id}/invitees/{invitee_id}", invitee or invitee_json(invitee_id))


def stripe_has(wire, flow, *, refunds=(), disputes=()):
    """The session paid, and the payment with these."""
    intent = opening(flow)
    payment = payment_json(intent, charge=charge_json())
    wire.answers(SESSION, session_json(intent, "complete", payment))
    wire.answers(PAYMENT, payment)
    wire.answers("GET /v1/refunds", listing(*refunds))
    wire.answers("GET /v1/disputes", listing(*disputes))


def test_a_payment_whose_webhook_was_lost_is_found(wire):
    flow = booked()
    opened(flow)
    calendly_has(wire)
    stripe_has(wire, flow)
    reread(flow)
    assert now(flow) == (PaymentStatus.PAID, BookingStatus.CONFIRMED)
    assert TimelineEntry.objects.filter(flow=flow, who="staff", user_id=staff().user.pk, cause_id="req-sue").exists()


def test_refunds_and_disputes_are_read_too(wire):
    flow, _ = paid_flow()
    calendly_has(wire)
    stripe_has(wire, flow, refunds=[refund_json(2_000)], disputes=[dispute_json("needs_response", 1_000)])
    reread(flow)
    assert now(flow)[0] == PaymentStatus.PARTIALLY_REFUNDED
    assert (Refund.objects.get().amount_minor, Dispute.objects.get().amount_minor) == (2_000, 1_000)


def test_a_cancel_whose_webhook_was_lost_is_found(wire):
    flow, _ = paid_flow()
    calendly_has(wire, invitee=cancelled_json("A", by="host"), status="canceled")
    stripe_has(wire, flow)
    reread(flow)
    assert now(flow)[1] == BookingStatus.CANCELLED
    assert flow.decision_row == "D2"


def test_a_reschedule_of_which_nothing_was_heard_is_followed(wire):
    flow = booked(price=0)
    calendly_has(wire, invitee=cancelled_json("A", rescheduled=True, new="B"), status="canceled")
    calendly_has(wire, "B", invitee_json("B", old="A", new="C", rescheduled=True), start=START + DAY)
    calendly_has(wire, "C", invitee_json("C", old="B"), start=START + 2 * DAY)
    reread(flow)
    statuses = dict(flow.bookings.values_list("invitee_id", "status"))
    assert statuses == {"A": "RESCHEDULED", "B": "RESCHEDULED", "C": "CONFIRMED"}
    assert len(wire.calls) == 6


def test_an_event_that_is_gone_is_noted(wire):
    flow = booked(price=0)
    wire.answers(EVENT, GONE)
    reread(flow)
    assert flow.bookings.get().gone


def test_a_booking_of_which_only_the_client_spoke_is_looked_for(wire):
    flow = begun()
    with settled_flow(flow.id, HEARD) as locked:
        record_claim(locked, event_id="EV-A", invitee_id="A", start=None)
    calendly_has(wire)
    reread(flow)
    assert flow.bookings.get().invitee_id == "A"


def test_reading_what_is_known_changes_nothing(wire):
    flow, _ = paid_flow()
    calendly_has(wire)
    stripe_has(wire, flow)
    reread(flow)
    flow.refresh_from_db()
    lines, updated = flow.timeline.count(), flow.updated_at
    reread(flow)
    flow.refresh_from_db()
    assert (flow.timeline.count(), flow.updated_at) == (lines, updated)


def test_what_was_read_is_kept_when_the_other_provider_does_not_answer(wire):
    flow = booked()
    opened(flow)
    wire.answers(EVENT, DOWN)
    stripe_has(wire, flow)
    with pytest.raises(CalendlyApiError):
        reread(flow)
    assert now(flow)[0] == PaymentStatus.PAID


def test_what_was_read_before_stripe_stopped_answering_is_kept(wire):
    flow, _ = paid_flow()
    calendly_has(wire, invitee=cancelled_json("A", by="host"), status="canceled")
    stripe_has(wire, flow, refunds=[refund_json(PRICE)])
    wire.answers("GET /v1/disputes", DOWN)
    with pytest.raises(StripeApiError):
        reread(flow)
    assert now(flow) == (PaymentStatus.REFUNDED, BookingStatus.CANCELLED)


def test_rereading_needs_its_permission(wire):
    flow = booked()
    with pytest.raises(Forbidden):
        reread(flow, staff(LINK_BOOKING))
    assert wire.calls == []
