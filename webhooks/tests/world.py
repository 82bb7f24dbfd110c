"""A small world to race in: the service, a local Calendly and a local Stripe over real HTTP, their mail and a worker.

The providers write their webhooks and send none of them: a test takes the letters and posts them as it likes, in any
order and as often, signed as the provider signs. The worker does what is due when a test says so.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import requests
from django.conf import settings
from django.db import connections, transaction
from django.db.models import Q
from django.test import Client as Browser
from django.utils import timezone

from api.accounts import issue_token, user_of
from bookings.facts import IntentKind, Outcome
from bookings.models import Attention, Booking, BookingFlow, Intent, SessionType
from payments import acting, placing
from payments.models import Checkout, Payment, Refund
from payments.tasks import place, settle_due_flows
from sandbox.courier import signature
from webhooks.models import Delivery, State
from webhooks.tasks import process

CONSULTATION, INTRO = "1:1 Consultation", "Free intro call"
"""Event types of the local Calendly that the demo offers, by name."""
SLUGS = {CONSULTATION: "consultation", INTRO: "intro"}
PRICE, CURRENCY = 12_000, "USD"
"""Of the consultation."""
CASEY = "casey@example.com"
READS = (IntentKind.READ_CHECKOUT, IntentKind.READ_PAYMENT)

_of_thread = threading.local()


def browser() -> Browser:
    """This thread's own, kept because the middleware that it stands on is slow to load."""
    if not hasattr(_of_thread, "browser"):
        _of_thread.browser = Browser()
    kept: Browser = _of_thread.browser
    return kept


@dataclass(frozen=True)
class Letter:
    """One webhook, as its provider wrote it."""

    provider: str
    name: str
    body: bytes


@dataclass
class Provider:
    """A local provider's control room."""

    base: str

    def room(self, path: str, **body: Any) -> Any:
        """Do something there that must succeed."""
        answer = requests.post(f"{self.base}/_sandbox/{path}", json=body, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def look(self, path: str) -> Any:
        """What the provider holds (`ledger`), or has not delivered (`letters`)."""
        return requests.get(f"{self.base}/_sandbox/{path}", timeout=10).json()

    def breaks(self, method: str, path: str, *how: str) -> None:
        """Let the next calls to this path fail, one in each way (sandbox/faults.py)."""
        self.room("faults", next=[{"method": method, "path": path, "do": each} for each in how])


@dataclass
class Person:
    """Somebody with an API token."""

    email: str
    token: str

    def post(self, path: str, **body: Any) -> Any:
        return browser().post(path, body, content_type="application/json", headers=self._headers)

    def get(self, path: str) -> Any:
        return browser().get(path, headers=self._headers)

    def initiate(self, what: str = CONSULTATION) -> str:
        """Begin to book; the flow's id."""
        session_type = SessionType.objects.get(name=what)
        body = {"sessionTypeId": session_type.id, "builderProfileId": session_type.builder_id}
        answer = self.post("/api/scheduling/calendly/initiate-booking", **body)
        assert answer.status_code == 200, answer.content
        flow_id: str = answer.json()["bookingFlowId"]
        return flow_id

    def store_event(self, flow_id: str, booked: dict[str, str]) -> Any:
        """Tell the service which slot it was; the HTTP answer."""
        return self.post(
            "/api/scheduling/calendly/store-event",
            bookingFlowId=flow_id,
            calendlyEventUri=booked["event_uri"],
            calendlyInviteeUri=booked["invitee_uri"],
        )

    def checkout(self, booking_id: str) -> Any:
        """Ask for a checkout; the HTTP answer."""
        return self.post("/api/stripe/create-checkout-session", bookingId=booking_id)

    def status(self, booking_id: str) -> Any:
        """`booking-status`, in JSON."""
        return self.get(f"/api/scheduling/calendly/booking-status/{booking_id}").json()

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass
class World:
    calendly: Provider
    stripe: Provider
    remember: Callable[[], Callable[[], None]]
    """Keeps what the providers hold; what it returns puts it back."""
    _taken: set[str] = field(default_factory=set)

    def person(self, email: str = CASEY) -> Person:
        return Person(email, issue_token(user_of(email))[0])

    # At Calendly and Stripe.

    def book(self, flow_id: str = "", *, what: str = CONSULTATION, **more: Any) -> Any:
        """A slot ten days ahead, booked with a flow's scheduling link; its addresses and ids."""
        tracking = {"utm_content": flow_id} if flow_id else {}
        start = (timezone.now() + timedelta(days=10)).replace(microsecond=0)
        guest = {"email": CASEY, "name": "Casey Client", "start_time": start.isoformat(), **more}
        return self.calendly.room("book", event_type=SLUGS[what], tracking=tracking, **guest)

    def pay(self, session_id: str, **more: Any) -> Any:
        """The client pays on Stripe's page; the session."""
        return self.stripe.room(f"checkout/{session_id}", action="pay", **more)

    def sessions(self) -> list[Any]:
        """The Checkout sessions that Stripe holds."""
        return list(self.stripe.look("ledger")["objects"].get("checkout.session", []))

    def money(self) -> dict[str, int]:
        """What Stripe holds in all: captured and refunded, in minor units."""
        payments = self.stripe.look("ledger")["payments"].values()
        return {word: sum(one[word] for one in payments) for word in ("captured", "refunded")}

    # The mail.

    def mail(self, *names: str) -> list[Letter]:
        """What the providers have written since the last look, oldest first; only those names, if any are given."""
        self.stripe.room("clock", advance_seconds=3)  # what Stripe tells some seconds after a payment
        rooms = (("calendly", self.calendly.look("letters")), ("stripe", self.stripe.look("letters")))
        self.stripe.room("clock", advance_seconds=-3)
        new = []
        for provider, waiting in rooms:
            for letter in waiting["letters"]:
                wanted = not names or letter["event"] in names
                if letter["id"] not in self._taken and wanted:
                    self._taken.add(letter["id"])
                    new.append(Letter(provider, letter["event"], letter["body"].encode()))
        return new

    def post(self, letter: Letter, *, secret: str = "") -> Any:
        """Post a letter, signed now with the secret (else with the present one); the HTTP answer."""
        header = "Calendly-Webhook-Signature" if letter.provider == "calendly" else "Stripe-Signature"
        secrets = {"calendly": settings.CALENDLY_WEBHOOK_SIGNING_KEYS, "stripe": settings.STRIPE_WEBHOOK_SECRETS}
        now = int(time.time())
        headers = {header: f"t={now},v1={signature(secret or secrets[letter.provider][0], now, letter.body)}"}
        path = f"/api/webhooks/{letter.provider}"
        return browser().post(path, letter.body, content_type="application/json", headers=headers)

    def deliver(self, letters: Iterable[Letter] | None = None) -> None:
        """Post letters, or all that are new; each must be taken."""
        for letter in self.mail() if letters is None else letters:
            answer = self.post(letter)
            assert answer.status_code == 200, answer.content

    # The worker.

    def work(self) -> None:
        """Do everything that is due, whatever its back-off, each thing once, until nothing new comes up."""
        done: set[tuple[str, str]] = set()
        while todo := [one for one in self._due() if one not in done]:
            for kind, row_id in todo:
                DOES[kind](row_id)
            done.update(todo)

    def hear(self) -> None:
        """Deliver what is new and work on it, and on what that brings, until all is quiet."""
        while letters := self.mail():
            self.deliver(letters)
            self.work()
        self.work()

    def _due(self) -> list[tuple[str, str]]:
        settle_due_flows()
        now = timezone.now()
        Intent.objects.filter(outcome=Outcome.OPEN).update(next_at=now)
        letters = Delivery.objects.filter(state=State.DUE).order_by("received_at", "pk").values_list("pk", flat=True)
        return [
            *(("delivery", one) for one in letters),
            *(("intent", one) for one in acting.due_intents(now, 100)),
            *(("unplaced", one) for one in placing.due_unplaced(now, 100)),
        ]

    # The walk.

    def walk_to_payment(self, person: Person) -> tuple[str, str, str]:
        """To an open checkout, with all mail so far heard: the ids of flow, booking and session."""
        flow_id = person.initiate()
        self.book(flow_id, email=person.email)
        self.hear()
        booking = Booking.objects.get(flow_id=flow_id)
        return flow_id, booking.id, Checkout.objects.get(flow_id=flow_id).session_id

    # What it came to.

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What the service writes inside is forgotten again; the providers remember."""
        with transaction.atomic():
            yield
            transaction.set_rollback(True)

    @contextmanager
    def rewound(self) -> Iterator[None]:
        """What is done inside, here and at the providers, is forgotten again."""
        put_back = self.remember()
        try:
            with self.undone():
                yield
        finally:
            put_back()

    def end(self, flow_id: str) -> dict[str, Any]:
        """Facts and statuses of a flow, without what may differ from run to run: our own ids, our own clock."""
        row = BookingFlow.objects.get(pk=flow_id)
        calls = Intent.objects.filter(~Q(kind__in=READS), flow=row).exclude(outcome=Outcome.WITHDRAWN)
        payments = Payment.objects.filter(flow=row)
        return {
            "flow": (row.payment_status, row.decision_row, row.disputed),
            "bookings": sorted(
                (one.invitee_id, one.event_id, one.start, one.name, one.email, one.status, one.calendly_status)
                for one in row.bookings.all()
            ),
            "checkouts": sorted((one.session_id, one.status, one.paid) for one in row.checkouts.all()),
            "payments": sorted(
                (
                    *(one.payment_intent_id, one.captured_minor, one.currency, one.charge_id, one.captured_at),
                    *(one.provisional, one.receipt_url, one.intent_id is not None, one.refund_intended_minor),
                )
                for one in payments
            ),
            "refunds": sorted((one.amount_minor, one.status) for one in Refund.objects.filter(payment__in=payments)),
            "calls": sorted((one.kind, one.outcome, one.amount_minor) for one in calls),
            "attention": open_attention(flow_id),
        }


def _process(delivery_id: str) -> None:
    process(delivery_id)


def _place(invitee_id: str) -> None:
    place(invitee_id)


DOES: dict[str, Callable[[str], None]] = {"delivery": _process, "intent": acting.act, "unplaced": _place}
"""The functions behind the worker's jobs."""


def open_attention(flow_id: str = "") -> list[str]:
    """The kinds of what a person must look at, of one flow or of all."""
    rows = Attention.objects.filter(closed_at=None)
    return sorted((rows.filter(flow_id=flow_id) if flow_id else rows).values_list("kind", flat=True))


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Make the calls in threads that start together; their results, in the order of the calls."""
    gate, results = threading.Barrier(len(calls)), [None] * len(calls)

    def run(place: int, call: Callable[[], Any]) -> None:
        try:
            gate.wait()
            results[place] = call()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
