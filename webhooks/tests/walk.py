"""A random life of one booking on the real code: client, staff, host, bank and clock act, letters go astray, we die.

All that is drawn comes from one seed, so a walk can be walked again: the clock stands still between the steps, and
ids are counted.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import requests
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from api.errors import ApiError
from bookings import ids
from bookings.models import Booking, BookingFlow
from bookings.staff import Staff
from operations import reconciling
from payments import settlement
from payments.models import Payment
from payments.refunding import request_refund
from payments.requests import request_staff_cancel
from webhooks import inbox
from webhooks.tests.world import Letter, World

BEGINNING = datetime(2031, 1, 6, 12, tzinfo=UTC)
"""Later than any real run, for the offers were loaded in one."""
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WAITS = [MINUTE, 5 * MINUTE, 12 * MINUTE, 32 * MINUTE, 6 * HOUR, 20 * HOUR, 3 * DAY]
NOTICES = [3 * HOUR, 15 * HOUR, 30 * HOUR, 5 * DAY]
FAULTS = ["fail_before", "fail_saved", "reset_before", "rate_limit", "fail_after", "reset_after", "garble"]


class Died(BaseException):
    """The process ends here. Nothing that catches exceptions may catch it."""


class Deaths:
    """The points at which the process can die; armed with one, it dies there once."""

    POINTS = ("before a call", "after its answer", "before a commit", "before a delivery is ticked off")

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.next = ""
        send, settle, close = requests.Session.send, settlement.settle, inbox._close

        def dying_send(session: requests.Session, request: requests.PreparedRequest, **how: Any) -> requests.Response:
            if "/_sandbox/" in str(request.url):
                return send(session, request, **how)
            self.here("before a call")
            answer = send(session, request, **how)
            self.here("after its answer")
            return answer

        def dying_settle(flow: Any) -> Any:
            verdict = settle(flow)
            self.here("before a commit")
            return verdict

        def dying_close(*what: Any, **how: Any) -> bool:
            self.here("before a delivery is ticked off")
            return close(*what, **how)

        monkeypatch.setattr(requests.Session, "send", dying_send)
        monkeypatch.setattr(settlement, "settle", dying_settle)
        monkeypatch.setattr(inbox, "_close", dying_close)

    def here(self, point: str) -> None:
        if self.next == point:
            self.next = ""
            raise Died(point)


class Walk:
    """One flow and everybody around it, and what they did as far as the oracle must know it."""

    def __init__(self, world: World, seed: int, clock: time_machine.Traveller, deaths: Deaths) -> None:
        self.world, self.clock, self.deaths = world, clock, deaths
        self.dice = random.Random(f"walk {seed}")  # noqa: S311 - repeatable on purpose
        self.steps: list[str] = []
        self.letters: list[Letter] = []
        self.asked: list[tuple[datetime, str, int | None]] = []
        """Cancels that were asked of the service: when, by whom, and a percentage if it was not the policy's."""
        self.calm = True
        """Whether no refund failed and nothing was disputed, so that the money can be foretold."""
        for provider in (world.calendly, world.stripe):
            provider.room("reset", seed=f"walk {seed}")
            provider.room("faults", rates={"drop": 1.0})
        world.calendly.room("switches", reschedule_copies_tracking=self.dice.random() < 0.5)
        self.casey = world.person()
        sue, _ = User.objects.get_or_create(username="sue", is_staff=True, is_superuser=True)
        self.sue = Staff(sue, "req-walk")
        self.flow_id = self.casey.initiate()
        self.slots = [world.book(self.flow_id, start_time=self.new_start())]

    def new_start(self) -> str:
        return (timezone.now() + self.dice.choice(NOTICES)).isoformat()

    # The steps. Each may find nothing to do, and be refused.

    def client_stores_the_event(self) -> None:
        self.casey.store_event(self.flow_id, self.slots[0])

    def client_wants_a_checkout(self) -> None:
        if booking_id := self.newest_booking():
            self.casey.checkout(booking_id)

    def client_pays(self) -> None:
        self.at_checkout(action="pay")

    def client_submits_a_slow_payment(self) -> None:
        self.at_checkout(action="pay_later")

    def client_is_declined(self) -> None:
        self.at_checkout(action="decline")

    def client_cancels(self) -> None:
        if booking_id := self.newest_booking():
            wants_money = self.dice.random() < 0.8
            self.asked.append((timezone.now(), "client", None if wants_money else 0))
            body = {"bookingId": booking_id, "reason": "Ill", "refundRequested": wants_money}
            self.casey.post("/api/scheduling/cancel-booking", **body)

    def client_reschedules(self) -> None:
        moved = self.tell("calendly", "reschedule", invitee=self.slots[-1]["invitee_id"], start_time=self.new_start())
        if moved:
            self.slots.append(moved)

    def client_cancels_at_calendly(self) -> None:
        self.tell("calendly", "cancel", invitee=self.slots[-1]["invitee_id"], by="invitee")

    def host_cancels(self) -> None:
        self.tell("calendly", "cancel", invitee=self.slots[-1]["invitee_id"], by="host")

    def staff_cancel(self) -> None:
        if booking_id := self.newest_booking():
            percent = self.dice.choice([None, 0, 30, 100])
            self.asked.append((timezone.now(), "staff", percent))
            request_staff_cancel(Booking.objects.get(pk=booking_id), self.sue, reason="Ill", percent=percent)

    def staff_refund(self) -> None:
        payment = Payment.objects.filter(flow=self.flow_id).order_by("recorded_at").first()
        if payment:
            amount = self.dice.choice([500, 3_000])
            request_refund(payment, amount, self.sue, reason="Kindness", token=ids.intent_id())

    def dashboard_refund(self) -> None:
        if charge := self.object("charge"):
            amount = self.dice.choice([700, 4_000])
            self.tell("stripe", "refund", payment_intent=charge["payment_intent"], amount=amount)

    def bank_is_slow_with_the_next_refund(self) -> None:
        self.tell("stripe", "refund/next", status="pending")

    def bank_is_done_with_a_refund(self) -> None:
        if refund := self.object("refund"):
            self.tell("stripe", f"refund/{refund['id']}", status="succeeded")

    def bank_fails_a_refund(self) -> None:
        refund = self.object("refund")
        if refund and self.tell("stripe", f"refund/{refund['id']}", status="failed"):
            self.calm = False

    def bank_disputes(self) -> None:
        charge = self.object("charge")
        if charge and self.tell(
            "stripe", "dispute", charge=charge["id"], amount=2_000, inquiry=self.dice.random() < 0.3
        ):
            self.calm = False

    def bank_decides_a_dispute(self) -> None:
        if dispute := self.object("dispute"):
            self.tell("stripe", f"dispute/{dispute['id']}", status=self.dice.choice(["won", "lost", "warning_closed"]))

    def bank_answers(self) -> None:
        if session := self.object("checkout.session"):
            self.tell("stripe", f"async/{session['id']}", result=self.dice.choice(["succeeded", "failed"]))

    def time_passes(self) -> None:
        self.clock.shift(self.dice.choice(WAITS))

    def letters_arrive(self) -> None:
        """Some are lost for ever, some come twice, some later, and the order is anybody's."""
        self.letters += [letter for letter in self.world.mail() if self.dice.random() > 0.15]
        self.dice.shuffle(self.letters)
        bag = [self.letters.pop() for _ in range(self.dice.randint(0, len(self.letters)))]
        for letter in bag:
            self.world.post(letter)
            if self.dice.random() < 0.2:
                self.letters.append(letter)

    def the_worker_works(self) -> None:
        self.world.work()

    def a_call_will_fail(self) -> None:
        provider = self.dice.choice([self.world.stripe, self.world.calendly])
        ways = [way for way in FAULTS if provider is self.world.stripe or way != "fail_saved"]
        provider.breaks("*", "*", *self.dice.choices(ways, k=self.dice.randint(1, 6)))

    def the_process_will_die(self) -> None:
        self.deaths.next = self.dice.choice(Deaths.POINTS)

    # How they are taken.

    def step(self) -> None:
        step = self.dice.choices(list(STEPS), weights=list(STEPS.values()))[0]
        self.steps.append(f"{timezone.now():%d %H:%M:%S} {step.__name__}")
        try:
            step(self)
        except ApiError as refused:
            self.steps[-1] += f" (refused: {refused.message})"
        except Died as died:
            self.steps[-1] += f" (died {died})"
        self.clock.shift(SECOND)

    def come_to_rest(self) -> None:
        """Nothing fails any more, banks make up their minds, lost letters stay lost: reading everything back it is."""
        self.deaths.next = ""
        for provider in (self.world.calendly, self.world.stripe):
            provider.room("faults", next=[])
        self.sort_out()
        for session in self.objects("checkout.session"):
            self.tell("stripe", f"async/{session['id']}", result=self.dice.choice(["succeeded", "failed"]))
        for dispute in self.objects("dispute"):
            self.tell("stripe", f"dispute/{dispute['id']}", status=self.dice.choice(["won", "lost"]))
        self.sort_out()
        self.clock.shift(10 * DAY)
        self.sort_out()

    def sort_out(self) -> None:
        """Hear everything and do all that is due, until nothing is."""
        for _ in range(4):
            for refund in self.objects("refund"):
                self.tell("stripe", f"refund/{refund['id']}", status="succeeded")
            findings = reconciling.Findings(say=self.steps.append)
            for side in reconciling.BOTH:
                side.everything(findings, BEGINNING - DAY, None)
            self.clock.shift(3 * MINUTE)  # leases and patience end
            self.world.work()

    # What there is.

    def newest_booking(self) -> str | None:
        """The id of the flow's newest booking, as the client's page would show it."""
        newest = Booking.objects.filter(flow_id=self.flow_id).order_by("-created_at", "-id").first()
        return newest.id if newest else None

    def objects(self, kind: str) -> list[Any]:
        """Stripe's objects of this kind, in the order in which they were made."""
        return list(self.world.stripe.look("ledger")["objects"].get(kind, []))

    def object(self, kind: str) -> Any:
        """One of them, or None."""
        there = self.objects(kind)
        return self.dice.choice(there) if there else None

    def at_checkout(self, **what: Any) -> None:
        if session := self.object("checkout.session"):
            self.tell("stripe", f"checkout/{session['id']}", **what)

    def tell(self, provider: str, path: str, **body: Any) -> Any:
        """Do something at a provider; None if that cannot be done there now."""
        base = {"calendly": self.world.calendly, "stripe": self.world.stripe}[provider].base
        answer = requests.post(f"{base}/_sandbox/{path}", json=body, timeout=10)
        return answer.json() if answer.ok else None

    @property
    def flow(self) -> BookingFlow:
        return BookingFlow.objects.get(pk=self.flow_id)


STEPS: dict[Callable[[Walk], None], int] = {
    Walk.client_stores_the_event: 3,
    Walk.client_wants_a_checkout: 2,
    Walk.client_pays: 5,
    Walk.client_submits_a_slow_payment: 1,
    Walk.client_is_declined: 1,
    Walk.client_cancels: 2,
    Walk.client_reschedules: 3,
    Walk.client_cancels_at_calendly: 1,
    Walk.host_cancels: 1,
    Walk.staff_cancel: 1,
    Walk.staff_refund: 2,
    Walk.dashboard_refund: 2,
    Walk.bank_is_slow_with_the_next_refund: 2,
    Walk.bank_is_done_with_a_refund: 1,
    Walk.bank_fails_a_refund: 1,
    Walk.bank_disputes: 1,
    Walk.bank_decides_a_dispute: 1,
    Walk.bank_answers: 1,
    Walk.time_passes: 4,
    Walk.letters_arrive: 8,
    Walk.the_worker_works: 8,
    Walk.a_call_will_fail: 3,
    Walk.the_process_will_die: 4,
}
"""How often each is drawn, beside the others."""


@contextmanager
def walking(world: World, seed: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Walk]:
    """A walk that is forgotten afterwards."""
    with time_machine.travel(BEGINNING, tick=False) as clock, monkeypatch.context() as patch, world.undone():
        numbers = count(1)
        patch.setattr(ids, "new_id", lambda prefix: f"{prefix}_{next(numbers):026d}")
        patch.setattr(time, "sleep", lambda seconds: None)
        yield Walk(world, seed, clock, Deaths(patch))
