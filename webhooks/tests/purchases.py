"""One client's purchase, in the words of those who take part in it: the client, the host, Stripe, the bank."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from bookings.models import Booking, BookingFlow
from payments import cancelling
from webhooks.tests.world import CASEY, CONSULTATION, Person, World

NOWHERE = "http://127.0.0.1:9"
"""As a provider's base: it cannot be reached."""
MINUTES, HOURS, DAYS = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
POLICY = [(10 * DAYS, 100), (18 * HOURS, 50), (6 * HOURS, 0)]
"""How long before the start somebody gives up, and how much of the price comes back."""


@dataclass
class Purchase:
    """A flow, and the slots at Calendly that it has had, one after the other."""

    world: World
    client: Person
    flow_id: str
    slots: list[Any]

    def booking(self, place: int = -1) -> Booking:
        """Ours of one of the slots; of the last one unless said."""
        return Booking.objects.get(invitee_id=self.slots[place]["invitee_id"])

    def flow(self) -> BookingFlow:
        return BookingFlow.objects.get(pk=self.flow_id)

    def told(self, place: int = -1) -> tuple[str, str, str]:
        """What the client is told: status, paymentStatus and calendlyStatus."""
        said = self.client.status(self.booking(place).id)
        return said["status"], said["paymentStatus"], said["calendlyStatus"]

    # The client.

    def pays(self) -> str:
        """At the open checkout; the payment intent's id."""
        (session,) = [one for one in self.world.sessions() if one["status"] == "open"]
        payment_id: str = self.world.pay(session["id"])["payment_intent"]
        return payment_id

    def asks_to_cancel(self, **more: Any) -> Any:
        """Cancel-booking; the HTTP answer."""
        return self.client.post("/api/scheduling/cancel-booking", bookingId=self.booking().id, **more)

    def cancels(self, **more: Any) -> tuple[str, str]:
        """Cancel-booking, which must succeed: status and refundStatus."""
        answer = self.asks_to_cancel(**more)
        assert answer.status_code == 200, answer.content
        return answer.json()["status"], answer.json()["refundStatus"]

    def moves(self, ahead: timedelta, **more: Any) -> None:
        """Reschedules at Calendly, to so long from now."""
        start = (timezone.now() + ahead).replace(microsecond=0).isoformat()
        invitee = self.slots[-1]["invitee_id"]
        self.slots.append(self.world.calendly.room("reschedule", invitee=invitee, start_time=start, **more))

    # Client or host.

    def is_cancelled_at_calendly(self, by: str = "invitee") -> None:
        self.world.calendly.room("cancel", invitee=self.slots[-1]["invitee_id"], by=by)

    # What the providers hold.

    def at_calendly(self) -> list[str]:
        """How each of the slots stands: active or canceled."""
        events = {one["uri"].rpartition("/")[2]: one for one in self.world.calendly.look("ledger")["scheduled_events"]}
        return [events[slot["event_id"]]["status"] for slot in self.slots]

    def at_stripe(self) -> list[str]:
        """How each of the sessions stands: open, complete or expired."""
        return [one["status"] for one in self.world.sessions()]


def no_time_for_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let cancel-booking make no calls itself: all is left to the worker, as when a provider is slow."""
    monkeypatch.setattr(cancelling, "SECONDS_FOR_PROVIDERS", 0.0)


def begun(world: World, *, ahead: timedelta = 10 * DAYS, what: str = CONSULTATION, **more: Any) -> Purchase:
    """A slot so long ahead is booked and its checkout open, and all the mail is heard."""
    client = world.person(CASEY)
    flow_id = client.initiate(what)
    start = (timezone.now() + ahead).replace(microsecond=0).isoformat()
    slot = world.book(flow_id, what=what, start_time=start, **more)
    world.hear()
    return Purchase(world, client, flow_id, [slot])


def bought(world: World, *, ahead: timedelta = 10 * DAYS) -> Purchase:
    """The same, and paid for."""
    purchase = begun(world, ahead=ahead)
    purchase.pays()
    world.hear()
    return purchase
