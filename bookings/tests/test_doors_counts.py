"""How many statements a door costs: a number that no table, list or flow makes larger."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bookings.models import Booking
from bookings.tests.marketplace import (
    HEARD,
    Caller,
    begun,
    caller,
    cancelled,
    checkout_seen,
    heard,
    offer,
    opened,
    paid,
    refunded,
)
from payments.records import record_checkout
from payments.settlement import settled_flow
from payments.stripe_objects import PaymentSeen

pytestmark = pytest.mark.django_db

FRAMES = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
SIGNING_IN = 1
"""The token and its user, in one statement. (A connection that is used again is first asked whether it still lives:
one more round trip, which Django does not count.)"""
PERMISSION = 2
"""Whether the user acts for all clients: its own permissions, and those of its groups."""


def statements(queries: CaptureQueriesContext) -> list[str]:
    return [query["sql"] for query in queries.captured_queries if not query["sql"].startswith(FRAMES)]


def cost(one: Caller, path: str) -> int:
    """Statements of a whole request, but for signing in."""
    with CaptureQueriesContext(connection) as queries:
        response = one.get(path)
    assert response.status_code == 200, response.content
    assert "knox_authtoken" in statements(queries)[0]
    return len(statements(queries)) - SIGNING_IN


def rich(client: Caller) -> Booking:
    """A booking with everything: rescheduled, paid, cancelled, refunded twice."""
    flow = begun(client, offer())
    first = heard(flow, f"A-{flow.id}")
    new = {"new_invitee_id": f"B-{flow.id}", "new_event_id": "EV-B"}
    heard(flow, f"A-{flow.id}", cancellation=cancelled(), rescheduled=True, **new)
    second = heard(flow, f"B-{flow.id}", old_invitee_id=first.invitee_id, old_event_id="EV-A")
    opened(second, f"cs_{flow.id}")
    paid(second, f"cs_{flow.id}", f"pi_{flow.id}")
    heard(flow, f"B-{flow.id}", cancellation=cancelled())
    for part in ("1", "2"):
        refunded(second, 6_000, f"pi_{flow.id}", f"re_{part}_{flow.id}")
    return second


@pytest.mark.parametrize("back_end", [False, True], ids=["the client", "the back end"])
def test_booking_status_costs_at_most_three_statements(back_end: bool):
    ann = caller("ann@example.com")
    booking = rich(ann)
    one = caller("shop@example.com", back_end=True) if back_end else ann
    path = f"/api/scheduling/calendly/booking-status/{booking.id}"
    before = cost(one, path)
    assert before == (1 + PERMISSION if back_end else 1)
    for _ in range(3):
        rich(ann)
    assert cost(one, path) == before <= 3


def test_a_list_of_fifty_bookings_costs_as_much_as_one_of_two():
    ann, back_end = caller("ann@example.com"), caller("shop@example.com", back_end=True)
    rich(ann)
    before = [cost(one, "/api/scheduling/bookings") for one in (ann, back_end)]
    # The bookings; sessions, payments and refunds; edges and the bookings at their ends.
    assert before == [PERMISSION + 6] * 2
    for _ in range(24):
        rich(ann)
    assert len(ann.get("/api/scheduling/bookings").json()["results"]) == 50
    assert [cost(one, "/api/scheduling/bookings") for one in (ann, back_end)] == before


def test_a_list_of_session_types_costs_one_statement():
    ann = caller("ann@example.com")
    for _ in range(50):
        offer()
    assert cost(ann, "/api/scheduling/session-types") == 1


def nothing_new(flow_id: str) -> int:
    """Statements of settling a flow of which nothing new is known."""
    with CaptureQueriesContext(connection) as queries, settled_flow(flow_id, HEARD):
        pass
    return len(statements(queries))


def test_settling_costs_no_more_for_a_flow_of_many_bookings_and_payments():
    ann = caller("ann@example.com")
    booking = rich(ann)
    flow = booking.flow
    nothing_new(flow.id)
    before = nothing_new(flow.id)
    for number in range(5):
        with settled_flow(flow.id, HEARD) as locked:
            record_checkout(locked, late_payment(booking, number))
        names = {"old_invitee_id": f"B-{flow.id}", "old_event_id": "EV-B"}
        heard(flow, f"C{number}-{flow.id}", cancellation=cancelled(), **names)
    nothing_new(flow.id)
    assert nothing_new(flow.id) == before
    assert before <= 14


def late_payment(booking: Booking, number: int) -> Any:
    """Money for another session of the same flow."""
    payment = PaymentSeen(
        payment_intent_id=f"pi_late_{number}",
        captured_minor=12_000,
        currency="USD",
        charge_id=f"ch_late_{number}",
        captured_at=booking.created_at,
        from_charge=True,
        receipt_url=None,
        metadata={},
        livemode=False,
    )
    facts = {"status": "complete", "payment_status": "paid", "payment_intent_id": payment.payment_intent_id}
    return checkout_seen(booking, f"cs_late_{number}", payment=payment, **facts)
