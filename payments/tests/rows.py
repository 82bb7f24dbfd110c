"""Builders for the tests of settling, recording and acting: rows as the service makes them, and what providers tell.

What a provider tells is built as its JSON (Stripe's is held against Stripe's description) and read by the service's
own readers, whether it stands on the wire or is recorded by a test itself. Rows come about in settled flows.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from procrastinate.contrib.django.models import ProcrastinateJob

from bookings.facts import IntentKind, Party
from bookings.flows import begin_flow
from bookings.invitees import Invitee, ScheduledEvent, parse_invitee, parse_scheduled_event
from bookings.locked import Cause
from bookings.models import (
    Booking,
    BookingFlow,
    Builder,
    CancellationPolicy,
    Client,
    Intent,
    SessionType,
    TimelineEntry,
)
from bookings.records import record_invitee
from payments.records import record_checkout, record_refund
from payments.settlement import settled_flow
from payments.stripe_objects import (
    CheckoutSeen,
    DisputeSeen,
    PaymentSeen,
    RefundSeen,
    parse_charge,
    parse_checkout,
    parse_dispute,
    parse_payment_intent,
    parse_refund,
)
from payments.tests.stripe_schema import fixture, validate_response

T0 = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
"""When the tests that stop the clock begin."""
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PRICE = 12_000
START = T0 + 10 * DAY
EVENT_TYPE = "ET1"
CALENDLY = "https://api.calendly.com"
HEARD = Cause.delivery("stripe", "stripe:evt_1")
TOLD = Cause.delivery("calendly", "calendly:1")
ASKED = Cause.request("req-1", user_id=7)
JSON = dict[str, Any]


# What is offered, and flows at the usual stations.


def offer(price: int = PRICE, currency: str = "USD", event_type_id: str = EVENT_TYPE, **fields: Any) -> SessionType:
    policy, _ = CancellationPolicy.objects.get_or_create(name="Standard")
    return SessionType.objects.create(
        builder=Builder.objects.create(name="Bo Builder", email="bo@builders.example"),
        name="Consultation",
        duration_minutes=60,
        price_minor=price,
        currency=currency,
        event_type_id=event_type_id,
        event_type_uri=f"{CALENDLY}/event_types/{event_type_id}",
        scheduling_url="https://calendly.com/bo/consultation",
        policy=policy,
        **{"active_since": T0 - DAY, **fields},
    )


def ann() -> Client:
    """A client who signed up."""
    user, _ = User.objects.get_or_create(username="ann@example.com", defaults={"email": "ann@example.com"})
    return Client.objects.get_or_create(user=user, defaults={"name": "Ann", "email": "ann@example.com"})[0]


def begun(session_type: SessionType | None = None, client: Client | None = None) -> BookingFlow:
    """A flow of Ann's, as initiate-booking makes it."""
    return begin_flow(session_type or offer(), client or ann(), now=T0)


def booked(price: int = PRICE) -> BookingFlow:
    """Calendly has told of the invitee A; if there is something to pay, a checkout is due."""
    flow = begun(offer(price))
    hear(flow, invitee_seen())
    return BookingFlow.objects.get(pk=flow.pk)


def hear(flow: BookingFlow, invitee: Invitee) -> Booking:
    """Record what Calendly says of an invitee."""
    with settled_flow(flow.id, TOLD) as locked:
        return record_invitee(locked, invitee)


def opened(flow: BookingFlow, session_id: str = "cs_test_1") -> None:
    """Stripe has opened the checkout that the flow's last intent asked for."""
    with settled_flow(flow.id, HEARD) as locked:
        record_checkout(locked, checkout_seen(opening(flow), id=session_id))


def paid(
    flow: BookingFlow, session_id: str = "cs_test_1", payment_intent_id: str = "pi_1", amount: int | None = None
) -> None:
    """The client has paid the price, or this amount, and the charge was read."""
    intent, amount = opening(flow), amount or flow.price_minor
    payment = payment_json(intent, payment_intent_id, amount, charge_json(payment_intent_id, amount))
    with settled_flow(flow.id, HEARD) as locked:
        record_checkout(locked, checkout_seen(intent, "complete", payment, id=session_id))


def opening(flow: BookingFlow) -> Intent:
    """The newest intent to open a checkout."""
    return Intent.objects.filter(flow=flow, kind=IntentKind.OPEN_CHECKOUT).latest("created_at", "id")


def only(flow: BookingFlow, kind: IntentKind) -> Intent:
    """The one intent of a kind."""
    return Intent.objects.select_related("flow", "booking").get(flow=flow, kind=kind)


def ask_to_cancel(flow: BookingFlow, percent: int | None = 100, by: Party = Party.STAFF) -> None:
    """Somebody asks to end the flow; by default staff, and all goes back."""
    with settled_flow(flow.id, ASKED) as locked:
        locked.row.cancel_asked_at, locked.row.cancel_asked_by = locked.now, by
        locked.row.cancel_percent = percent
        locked.save(locked.row, "Cancel asked")


def staff_refund(flow: BookingFlow, amount: int, payment_intent_id: str = "pi_1", **fields: Any) -> Intent:
    """A refund that staff asked for, as it will stand when the page for it has been sent."""
    staff, _ = User.objects.get_or_create(username="staff@example.com", is_staff=True)
    with settled_flow(flow.id, ASKED) as locked:
        intent = Intent(flow=locked.row, kind=IntentKind.REFUND, target=payment_intent_id, why="staff", **fields)
        intent.amount_minor, intent.currency, intent.requested_by = amount, locked.row.currency, staff
        intent.created_at = intent.next_at = locked.now
        locked.save(intent, "Refund asked")
    return intent


def refunded(flow: BookingFlow, amount: int, status: str = "succeeded", **refund: Any) -> None:
    """Stripe tells of a refund; one made in its dashboard unless the metadata name an intent."""
    with settled_flow(flow.id, HEARD) as locked:
        record_refund(locked, refund_seen(amount, status, **refund))


def time_passes(flow: BookingFlow) -> None:
    """Settle the flow as the sweeper does."""
    with settled_flow(flow.id, Cause.clock()):
        pass


def last_line(flow: BookingFlow) -> TimelineEntry:
    """The end of the flow's history so far."""
    return TimelineEntry.objects.filter(flow=flow).latest("id")


def jobs() -> list[tuple[str, JSON]]:
    """The jobs that wait, as (task, arguments), in the order in which they were deferred."""
    waiting = ProcrastinateJob.objects.filter(status="todo").order_by("id")
    return [(job.task_name, job.args) for job in waiting]


def forget_jobs() -> None:
    """Begin without jobs: what is emptied after a test with real transactions does not include their tables."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs CASCADE")


# What Stripe tells.


def unix(at: datetime) -> int:
    return int(at.timestamp())


def session_json(intent: Intent | None, status: str = "open", payment: JSON | str | None = None, **fields: Any) -> JSON:
    """A Checkout session made for an intent of ours."""
    session_id = fields.get("id", "cs_test_1")
    usual = {
        "id": "cs_test_1",
        "status": status,
        "payment_status": "paid" if payment else "unpaid",
        "payment_intent": payment,
        "amount_total": intent.amount_minor if intent else PRICE,
        "currency": (intent.currency if intent else "USD").lower(),
        "client_reference_id": intent.booking_id if intent else None,
        "metadata": {"intent": intent.id, "flowId": intent.flow_id} if intent else {},
        "created": unix(T0),
        "expires_at": unix(intent.expires_at) if intent and intent.expires_at else unix(T0 + 35 * MINUTE),
        "url": f"https://checkout.stripe.com/c/pay/{session_id}" if status == "open" else None,
    }
    return _stripe("checkout.session", usual | fields)


def payment_json(
    intent: Intent | None, payment_intent_id: str = "pi_1", amount: int = PRICE, charge: JSON | None = None
) -> JSON:
    """A payment intent that took this much; with its charge expanded if one is given."""
    fields = {
        "id": payment_intent_id,
        "amount": amount,
        "amount_received": amount,
        "currency": (intent.currency if intent else "USD").lower(),
        "status": "succeeded" if amount else "requires_payment_method",
        "latest_charge": charge or (f"ch_{payment_intent_id}" if amount else None),
        "metadata": {"intent": intent.id, "flowId": intent.flow_id} if intent else {},
    }
    return _stripe("payment_intent", fields)


def charge_json(payment_intent_id: str = "pi_1", amount: int = PRICE, at: datetime = T0, **fields: Any) -> JSON:
    """A charge that took this much; a declined one for 0."""
    usual = {
        "id": f"ch_{payment_intent_id}",
        "payment_intent": payment_intent_id,
        "amount": amount or PRICE,
        "amount_captured": amount,
        "captured": amount > 0,
        "paid": amount > 0,
        "status": "succeeded" if amount else "failed",
        "created": unix(at),
        "receipt_url": f"https://pay.stripe.com/receipts/{payment_intent_id}" if amount else None,
    }
    return _stripe("charge", usual | fields)


def refund_json(amount: int, status: str = "succeeded", intent: Intent | None = None, **fields: Any) -> JSON:
    """A refund of the payment `pi_1`; ours if it names an intent."""
    usual = {
        "id": "re_1",
        "amount": amount,
        "status": status,
        "payment_intent": "pi_1",
        "charge": "ch_pi_1",
        "created": unix(T0 + HOUR),
        "metadata": {"intent": intent.id} if intent else {},
    }
    return _stripe("refund", usual | fields)


def dispute_json(status: str = "needs_response", amount: int = PRICE, **fields: Any) -> JSON:
    """A dispute about the payment `pi_1`."""
    usual = {
        "id": "dp_1",
        "amount": amount,
        "status": status,
        "payment_intent": "pi_1",
        "charge": "ch_pi_1",
        "created": unix(T0 + HOUR),
    }
    return _stripe("dispute", usual | fields)


def _stripe(resource: str, fields: JSON) -> JSON:
    answer = {**fixture(resource), **fields}
    validate_response(resource, answer)
    return answer


def listing(*entries: JSON) -> JSON:
    return {"object": "list", "url": "/v1/list", "has_more": False, "data": list(entries)}


def checkout_seen(
    intent: Intent | None, status: str = "open", payment: JSON | str | None = None, **fields: Any
) -> CheckoutSeen:
    return parse_checkout(session_json(intent, status, payment, **fields))


def payment_seen(intent: Intent | None, payment_intent_id: str = "pi_1", amount: int = PRICE) -> PaymentSeen:
    """As `payment_intent.succeeded` tells of it: the time of the charge is not known."""
    return parse_payment_intent(payment_json(intent, payment_intent_id, amount))


def charge_seen(payment_intent_id: str = "pi_1", amount: int = PRICE, **fields: Any) -> PaymentSeen:
    return parse_charge(charge_json(payment_intent_id, amount, **fields))


def refund_seen(amount: int, status: str = "succeeded", intent: Intent | None = None, **fields: Any) -> RefundSeen:
    return parse_refund(refund_json(amount, status, intent, **fields))


def dispute_seen(status: str = "needs_response", amount: int = PRICE, **fields: Any) -> DisputeSeen:
    return parse_dispute(dispute_json(status, amount, **fields))


# What Calendly tells.


def invitee_uri(invitee_id: str) -> str:
    return f"{CALENDLY}/scheduled_events/EV-{invitee_id}/invitees/{invitee_id}"


def invitee_json(invitee_id: str = "A", *, old: str = "", new: str = "", flow_id: str = "", **fields: Any) -> JSON:
    """An invitee in the event `EV-<its id>`, as Calendly's API gives it."""
    usual: JSON = {
        "uri": invitee_uri(invitee_id),
        "event": f"{CALENDLY}/scheduled_events/EV-{invitee_id}",
        "name": "Ann Client",
        "email": "ann@example.com",
        "status": "active",
        "timezone": "Europe/Berlin",
        "text_reminder_number": None,
        "questions_and_answers": [],
        "tracking": {"utm_content": flow_id or None},
        "rescheduled": False,
        "old_invitee": invitee_uri(old) if old else None,
        "new_invitee": invitee_uri(new) if new else None,
        "created_at": _calendly_time(T0),
    }
    return usual | fields


def cancelled_json(
    invitee_id: str = "A", at: datetime = T0 + HOUR, *, by: str = "invitee", reason: str = "", **fields: Any
) -> JSON:
    """The same invitee, cancelled."""
    words = {"canceled_by": "Somebody", "canceler_type": by, "reason": reason, "created_at": _calendly_time(at)}
    return invitee_json(invitee_id, status="canceled", cancellation=words, **fields)


def event_json(
    invitee_id: str = "A", *, start: datetime = START, active: int = 1, event_type_id: str = EVENT_TYPE, **fields: Any
) -> JSON:
    """The event of an invitee."""
    usual = {
        "uri": f"{CALENDLY}/scheduled_events/EV-{invitee_id}",
        "name": "Consultation",
        "status": "active",
        "event_type": f"{CALENDLY}/event_types/{event_type_id}",
        "start_time": _calendly_time(start),
        "end_time": _calendly_time(start + HOUR),
        "location": {"type": "physical", "location": "Bo's office"},
        "invitees_counter": {"total": active, "active": active, "limit": 1},
    }
    return usual | fields


def _calendly_time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def invitee_seen(resource: JSON | None = None, event: JSON | None = None, **fields: Any) -> Invitee:
    """An invitee with its event, as a webhook tells of it; built from these words or from an answer."""
    resource = resource or invitee_json(**fields)
    return parse_invitee({**resource, "scheduled_event": event or event_json(resource["uri"].rpartition("/")[2])})


def event_seen(invitee_id: str = "A", **fields: Any) -> ScheduledEvent:
    return parse_scheduled_event(event_json(invitee_id, **fields))
