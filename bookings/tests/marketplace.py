"""A marketplace in few words, for tests of doors: who asks, what is offered, and what Calendly and Stripe told of it.

Bookings and money come about as they do in the service: recorded in a settled flow.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from api.accounts import issue_token, user_of
from bookings import who
from bookings.facts import IntentKind, Outcome
from bookings.flows import begin_flow
from bookings.invitees import Cancellation, Invitee, ScheduledEvent
from bookings.locked import Cause
from bookings.models import Booking, BookingFlow, Builder, CancellationPolicy, Intent, SessionType
from bookings.records import record_invitee
from payments.models import Checkout
from payments.records import record_checkout, record_payment, record_refund
from payments.settlement import settled_flow
from payments.stripe_objects import CheckoutSeen, PaymentSeen, RefundSeen

CALENDLY = "https://api.calendly.com"
HEARD = Cause.delivery("calendly", "calendly:test")
_number = count(1)


@dataclass
class Caller:
    """Somebody who calls the API; by default nobody in particular."""

    user: User | None = None
    http: Browser = field(default_factory=lambda: Browser(raise_request_exception=False))

    def get(self, path: str, **query: str) -> Any:
        return self.http.get(path, query or None)

    def post(self, path: str, body: Any) -> Any:
        return self.http.post(path, body, content_type="application/json")

    def send(self, method: str, path: str, raw: bytes = b"", content_type: str = "application/json") -> Any:
        """Any method with any bytes."""
        # Named twice: for an empty body the test client leaves it out.
        return self.http.generic(method, path, raw, content_type, CONTENT_TYPE=content_type)


def caller(email: str, *, back_end: bool = False) -> Caller:
    """A client with an API token, or the marketplace's back end."""
    user = user_of(email)
    if back_end:
        user.user_permissions.add(Permission.objects.get(codename="act_for_clients"))
    return Caller(user, browser_of(user))


def browser_of(user: User) -> Browser:
    """A browser whose requests carry a token of this user."""
    return Browser(raise_request_exception=False, headers={"Authorization": f"Bearer {issue_token(user)[0]}"})


def offer(price_minor: int = 12_000, currency: str = "USD") -> SessionType:
    """A session type; each has a Calendly event type and a builder of its own."""
    number = next(_number)
    return SessionType.objects.create(
        builder=Builder.objects.create(name="Bo Builder", email="bo@builders.example"),
        name="Consultation",
        description="An hour on your plan.",
        duration_minutes=60,
        price_minor=price_minor,
        currency=currency,
        event_type_id=f"ET{number}",
        event_type_uri=f"{CALENDLY}/event_types/ET{number}",
        scheduling_url="https://calendly.com/bo/consultation",
        policy=CancellationPolicy.objects.get_or_create(name="Standard")[0],
    )


def begun(client: Caller, session_type: SessionType) -> BookingFlow:
    """A flow of this client, as initiate-booking makes it."""
    assert client.user
    return begin_flow(session_type, who.own_client(client.user), now=timezone.now())


def invitee(session_type: SessionType, invitee_id: str = "", **facts: Any) -> Invitee:
    """An invitee in an event of its own, ten days ahead, as Calendly tells of one. Any field by name."""
    invitee_id = invitee_id or f"INV{next(_number)}"
    event_id = f"EV-{invitee_id}"
    event_uri = f"{CALENDLY}/scheduled_events/{event_id}"
    start = facts.pop("start", None) or timezone.now().replace(microsecond=0) + timedelta(days=10)
    event = ScheduledEvent(
        event_id=event_id,
        uri=event_uri,
        name=session_type.name,
        event_type_id=session_type.event_type_id,
        event_type_uri=session_type.event_type_uri,
        start=start,
        end=start + timedelta(hours=1),
        cancelled=False,
        cancellation=None,
        location={},
        active_invitees=1,
    )
    usual: dict[str, Any] = {
        "invitee_id": invitee_id,
        "event_id": event_id,
        "uri": f"{event_uri}/invitees/{invitee_id}",
        "event_uri": event_uri,
        "name": "Ann Client",
        "email": "ann@example.com",
        "timezone": "Europe/Berlin",
        "phone": "+49 30 1234",
        "answers": (("What is it about?", "A secret plan"),),
        "created_at": timezone.now(),
        "cancellation": None,
        "rescheduled": False,
        "old_invitee_id": None,
        "new_invitee_id": None,
        "old_event_id": None,
        "new_event_id": None,
        "tracking": {},
        "flow_id": None,
        "no_show": None,
        "scheduled_event": event,
    }
    return Invitee(**{**usual, **facts})


def cancelled(by: str = "invitee", at: datetime | None = None) -> Cancellation:
    return Cancellation(at=at or timezone.now(), by="Ann Client", canceler_type=by, reason="I am ill")


def heard(flow: BookingFlow, invitee_id: str = "", **facts: Any) -> Booking:
    """Calendly tells of an invitee of this flow; the booking."""
    with settled_flow(flow.id, HEARD) as locked:
        booking = record_invitee(locked, invitee(flow.session_type, invitee_id, **facts))
    return Booking.objects.select_related("flow").get(pk=booking.pk)


def checkout_seen(booking: Booking, session_id: str, **facts: Any) -> CheckoutSeen:
    """A Checkout session for the open intent of this booking's flow, as Stripe tells of it."""
    flow = BookingFlow.objects.get(pk=booking.flow_id)
    intent = Intent.objects.filter(flow=flow, kind=IntentKind.OPEN_CHECKOUT).exclude(outcome=Outcome.WITHDRAWN).last()
    usual: dict[str, Any] = {
        "session_id": session_id,
        "status": "open",
        "payment_status": "unpaid",
        "payment_intent_id": None,
        "amount_total_minor": flow.price_minor,
        "currency": flow.currency,
        "client_reference_id": booking.id,
        "metadata": {"bookingId": booking.id, "flowId": flow.id, "intent": intent.id if intent else ""},
        "created_at": timezone.now(),
        "expires_at": timezone.now() + timedelta(hours=1),
        "url": f"https://checkout.stripe.com/c/pay/{session_id}",
        "livemode": False,
        "payment": None,
    }
    return CheckoutSeen(**{**usual, **facts})


def opened(booking: Booking, session_id: str = "cs_test_1") -> Checkout:
    """The flow's checkout is open at Stripe."""
    with settled_flow(booking.flow_id, HEARD) as locked:
        return record_checkout(locked, checkout_seen(booking, session_id))


def paid(booking: Booking, session_id: str = "cs_test_1", payment_intent_id: str = "pi_1") -> None:
    """The client has paid at the open checkout, and the charge was read."""
    flow = BookingFlow.objects.get(pk=booking.flow_id)
    seen = checkout_seen(
        booking, session_id, status="complete", payment_status="paid", payment_intent_id=payment_intent_id, url=None
    )
    payment = PaymentSeen(
        payment_intent_id=payment_intent_id,
        captured_minor=flow.price_minor,
        currency=flow.currency,
        charge_id=f"ch_{payment_intent_id}",
        captured_at=timezone.now(),
        from_charge=True,
        receipt_url="https://pay.stripe.com/receipts/1",
        metadata=seen.metadata,
        livemode=False,
    )
    with settled_flow(flow.id, HEARD) as locked:
        record_checkout(locked, seen)
        record_payment(locked, payment)


def refunded(booking: Booking, amount_minor: int, payment_intent_id: str = "pi_1", refund_id: str = "re_1") -> None:
    """Stripe tells of a refund that succeeded."""
    seen = RefundSeen(
        refund_id=refund_id,
        payment_intent_id=payment_intent_id,
        charge_id=f"ch_{payment_intent_id}",
        amount_minor=amount_minor,
        currency=booking.flow.currency,
        status="succeeded",
        created_at=timezone.now(),
        metadata={},
        failure_reason="",
    )
    with settled_flow(booking.flow_id, HEARD) as locked:
        record_refund(locked, seen)


def contents() -> dict[str, str]:
    """What is in our tables, accounts, tokens and waiting jobs: a digest of the rows of each."""
    tables = ["auth_user", "knox_authtoken", "django_session", "procrastinate_jobs"]
    for app in ("bookings", "payments", "webhooks"):
        tables += [model._meta.db_table for model in apps.get_app_config(app).get_models()]
    one = "SELECT '{0}', md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')) FROM {0} t"
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(one.format(table) for table in tables))
        return dict(cursor.fetchall())
