"""Flows of every kind, as the service makes them, each with names of its own: a world whose books hold."""

from itertools import count
from typing import Any

from django.db import connection

from bookings.facts import IntentKind, NewIntent, Outcome
from bookings.models import BookingFlow, Intent
from bookings.records import record_claim
from payments.records import close_intent, record_dispute, record_payment, record_refund
from payments.settlement import settled_flow, write_intent
from payments.tests.rows import (
    HEARD,
    HOUR,
    JSON,
    MINUTE,
    PRICE,
    T0,
    TOLD,
    ask_to_cancel,
    begun,
    cancelled_json,
    dispute_seen,
    event_json,
    hear,
    invitee_json,
    invitee_seen,
    offer,
    only,
    opened,
    paid,
    payment_seen,
    refund_seen,
    refunded,
    staff_refund,
    time_passes,
)

_number = count(1)


def booked(price: int = PRICE) -> BookingFlow:
    """Calendly has told of the flow's first invitee; ids end in the flow's number, see `named`."""
    number = next(_number)
    flow = begun(offer(price, event_type_id=f"ET{number}"))
    tell(flow, invitee_json(invited(flow)))
    return BookingFlow.objects.get(pk=flow.pk)


def tell(flow: BookingFlow, invitee: JSON) -> None:
    """Calendly tells of an invitee, in an event of the flow's type."""
    event = event_json(invitee["uri"].rpartition("/")[2], event_type_id=flow.session_type.event_type_id)
    hear(flow, invitee_seen(invitee, event))


def named(flow: BookingFlow, prefix: str) -> str:
    """An id of the flow's own: `named(flow, "pi_")`."""
    return prefix + flow.session_type.event_type_id.removeprefix("ET")


def invited(flow: BookingFlow) -> str:
    return named(flow, "A")


def confirmed() -> BookingFlow:
    flow = booked()
    opened(flow, named(flow, "cs_"))
    paid(flow, named(flow, "cs_"), named(flow, "pi_"))
    return flow


def of(flow: BookingFlow) -> JSON:
    """What ties a refund or dispute to the flow's payment."""
    return {"payment_intent": named(flow, "pi_"), "charge": f"ch_{named(flow, 'pi_')}"}


def ended(percent: int = 100) -> BookingFlow:
    """Paid, and a cancel was asked: the slot is to be given up and money to go back."""
    flow = confirmed()
    ask_to_cancel(flow, percent)
    return flow


def answer_refund(flow: BookingFlow, status: str = "succeeded") -> None:
    """Stripe answers to the flow's refund."""
    intent = only(flow, IntentKind.REFUND)
    with settled_flow(flow.id, HEARD) as locked:
        seen = refund_seen(intent.amount_minor, status, intent, id=named(flow, "re_"), **of(flow))
        record_refund(locked, seen)


def returned() -> BookingFlow:
    """The flow was ended, Stripe has sent the money back, and Calendly has cancelled."""
    flow = ended()
    answer_refund(flow)
    cancel = only(flow, IntentKind.CANCEL_EVENT)
    tell(flow, cancelled_json(invited(flow), T0, by="host", reason=f"Reference: {cancel.id}"))
    close(cancel, Outcome.DONE)
    return flow


def close(intent: Intent, outcome: Outcome) -> None:
    """The answer to a call is known."""
    with settled_flow(intent.flow_id, HEARD) as locked:
        close_intent(locked, Intent.objects.get(pk=intent.pk), outcome)


def disputed(flow: BookingFlow, status: str) -> None:
    with settled_flow(flow.id, HEARD) as locked:
        record_dispute(locked, dispute_seen(status, id=named(flow, "dp_"), **of(flow)))


def rescheduled() -> BookingFlow:
    """Twice, and the news came in the wrong order."""
    flow = confirmed()
    first = invited(flow)
    tell(flow, invitee_json(f"{first}C", old=f"{first}B"))
    tell(flow, cancelled_json(first, T0, rescheduled=True, new=f"{first}B"))
    return flow


def paid_unseen() -> BookingFlow:
    """The client has paid for a booking of which only she spoke."""
    number = next(_number)
    flow = begun(offer(event_type_id=f"ET{number}"))
    with settled_flow(flow.id, TOLD) as locked:
        claim = record_claim(locked, event_id=f"EV{number}", invitee_id=f"I{number}", start=None)
    with settled_flow(flow.id, HEARD) as locked:
        new = NewIntent(IntentKind.OPEN_CHECKOUT, "", claim.id, PRICE, T0 + HOUR, "payable")
        write_intent(locked, new, lease_until=T0 + 2 * MINUTE)  # and so it was asked for already
    paid(flow, named(flow, "cs_"), named(flow, "pi_"))
    return flow


def unmatched() -> BookingFlow:
    """Money came for the flow that no intent of ours asked for."""
    flow = booked()
    with settled_flow(flow.id, HEARD) as locked:
        record_payment(locked, payment_seen(None, named(flow, "pi_")), happened_at=T0)
    return flow


def everything() -> None:
    """A flow at every station that we know of."""
    begun(offer(event_type_id=f"ET{next(_number)}"))
    booked()
    time_passes(booked(price=0))
    waiting = booked()
    opened(waiting, named(waiting, "cs_"))
    confirmed()
    ended()
    ended(percent=50)
    returned()
    for status in ("pending", "failed"):
        answer_refund(ended(), status)
    dashboard = confirmed()
    refunded(dashboard, PRICE, id=named(dashboard, "re_"), **of(dashboard))
    for status in ("warning_needs_response", "needs_response", "won", "lost"):
        disputed(confirmed(), status)
    disputed(ended(), "needs_response")
    asked = confirmed()
    staff_refund(asked, 1_000, named(asked, "pi_"), needs_approval=True)
    rescheduled()
    by_host = confirmed()
    tell(by_host, cancelled_json(invited(by_host), T0, by="host"))
    by_client = booked()
    tell(by_client, cancelled_json(invited(by_client), T0))
    wrong = booked()
    opened(wrong, named(wrong, "cs_"))
    paid(wrong, named(wrong, "cs_"), named(wrong, "pi_"), amount=PRICE - 1)
    unmatched()
    paid_unseen()


def cloned(flow: BookingFlow, last: int, *, first: int = 1) -> None:
    """More flows like this one, which has one booking; with numbers from `first` to `last`."""
    sql(
        "INSERT INTO bookings_bookingflow SELECT (jsonb_populate_record(f, jsonb_build_object('id', f.id || n))).*"
        " FROM bookings_bookingflow f, generate_series(%s::int, %s) n WHERE f.id = %s",
        *(first, last, flow.id),
    )
    sql(
        "INSERT INTO bookings_booking SELECT (jsonb_populate_record(b, jsonb_build_object('id', b.id || n,"
        " 'flow_id', b.flow_id || n, 'invitee_id', b.invitee_id || n))).*"
        " FROM bookings_booking b, generate_series(%s::int, %s) n WHERE b.flow_id = %s",
        *(first, last, flow.id),
    )


def sql(statement: str, *parameters: Any) -> None:
    """Change the database by hand, behind the back of everything that keeps the books."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what is still to be checked would forbid changes of tables
        cursor.execute(statement, parameters)
