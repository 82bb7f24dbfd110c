"""Random lives of a booking: news and answers in any order, a decision after each, and at the end the books.

A small world that knows what a provider would answer; every fact in it comes about as it would. What the client, the
slot and the money should be is counted from what happened, not by the code.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bookings.facts import (
    AsyncResult,
    BookingStatus,
    CheckoutStatus,
    DisputeFacts,
    FlowFacts,
    IntentFacts,
    IntentKind,
    Outcome,
    Verdict,
)
from bookings.lifecycle import decide, new_checkout
from bookings.tests.facts_builder import (
    DAY,
    MINUTE,
    PRICE,
    T0,
    Thing,
    asked,
    booking,
    cancelled,
    checkout,
    flow,
    payment,
    refund,
    refund_intent,
    unseen,
    written,
)

WAITS = [1, 5, 10, 30, 60, 24 * 60, 36 * 60, 49 * 60]
ENDED = (BookingStatus.CANCELLED, BookingStatus.RESCHEDULED)


class World:
    """One flow, the clock, and what its providers would answer."""

    def __init__(self) -> None:
        self.facts: FlowFacts = flow(unseen())
        self.now = T0
        self.calm = True
        """Whether no refund failed and nothing was disputed, so that the money can be foretold."""
        self.settle()

    def settle(self) -> Verdict:
        """Decide and store; what was decided stays, and what was cancelled stays."""
        before = self.facts.decision
        statuses = getattr(self, "statuses", {})
        verdict = decide(self.facts, self.now)
        self.facts = written(self.facts, verdict, self.now)
        self.statuses = {name: told.status for name, told in verdict.bookings.items()}
        assert before in (None, verdict.decision)
        assert all(self.statuses[name] in ENDED for name, status in statuses.items() if status in ENDED)
        opening = [i for i in self.facts.intents if i.kind is IntentKind.OPEN_CHECKOUT and i.open]
        assert len(opening) + sum(one.live for one in self.facts.checkouts) <= 1
        for paid in self.facts.payments:
            assert verdict.reserved[paid.payment_intent_id] <= paid.captured
        return verdict

    def change(self, kind: str, old: Thing, **changes: Any) -> None:
        """Put a later state of one thing in place of the earlier."""
        now: dict[str, Any] = {}
        now[kind] = tuple(replace(one, **changes) if one == old else one for one in getattr(self.facts, kind))
        self.facts = replace(self.facts, **now)

    def add(self, kind: str, thing: Thing) -> None:
        more: dict[str, Any] = {kind: (*getattr(self.facts, kind), thing)}
        self.facts = replace(self.facts, **more)

    @property
    def tip(self):
        return self.facts.bookings[-1]

    # What happens. Each takes a number that chooses among possibilities, and may find nothing to do.

    def wait(self, choice: int) -> None:
        self.now += WAITS[choice] * MINUTE

    def calendly_tells(self, choice: int) -> None:
        if not self.tip.seen:
            seen = booking(created_at=self.now, start=T0 + 3 * DAY)
            self.facts = replace(self.facts, bookings=(replace(seen, id=self.tip.id),))

    def client_reschedules(self, choice: int) -> None:
        if self.tip.seen and not self.tip.cancelled and self.now < self.tip.start:
            old, name = self.tip, f"B{len(self.facts.bookings)}"
            start = self.now + (choice + 1) * 12 * 60 * MINUTE
            self.change("bookings", old, **changes_of(cancelled(old, self.now, rescheduled=True)))
            self.add("bookings", booking(name, recorded_at=self.now, created_at=self.now, start=start))
            self.facts = replace(self.facts, edges=self.facts.edges | {(old.invitee_id, self.tip.invitee_id)})

    def somebody_cancels(self, choice: int) -> None:
        if self.tip.seen and not self.tip.cancelled and self.now < self.tip.start:
            self.change("bookings", self.tip, **changes_of(cancelled(self.tip, self.now, by_host=choice % 2 == 0)))

    def client_asks(self, choice: int) -> None:
        before_start = not self.tip.start or self.now < self.tip.start
        if before_start and not self.facts.decision and not self.facts.cancel_asked:
            self.facts = replace(self.facts, cancel_asked=asked(self.now, refund_requested=choice != 0))

    def client_pays(self, choice: int) -> None:
        """Also a session that we think expired: a delayed payment may succeed after all (R10)."""
        unpaid = [one for one in self.facts.checkouts if not one.paid]
        if unpaid:
            session = unpaid[choice % len(unpaid)]
            status = CheckoutStatus.COMPLETE if session.live else session.status
            self.change("checkouts", session, status=status, paid=True, completed_at=self.now)
            number = int(session.session_id.removeprefix("cs_"))
            money = payment(number, at=self.now, intent_id=session.intent_id, provisional=choice % 2 == 0)
            self.add("payments", money)

    def client_submits(self, choice: int) -> None:
        """With a delayed method; or the bank says no to it."""
        for session in self.facts.checkouts:
            if session.awaits_result:
                self.change("checkouts", session, async_result=AsyncResult.FAILED)
            elif session.status is CheckoutStatus.OPEN:
                self.change("checkouts", session, status=CheckoutStatus.COMPLETE, completed_at=self.now)

    def client_wants_another_checkout(self, choice: int) -> None:
        due = new_checkout(self.facts, self.now)
        if due:
            name = f"it_asked_{len(self.facts.intents)}"
            self.add("intents", IntentFacts(name, due.kind, "", Outcome.OPEN, self.now, amount=due.amount))

    def claim(self, choice: int) -> None:
        """A worker takes an intent, and dies."""
        intent = self.chosen(choice)
        if intent:
            self.change("intents", intent, started=True)

    def answer(self, choice: int) -> None:
        intent = self.chosen(choice)
        if intent:
            self.carry_out(intent, ("succeeded", "pending", "failed", "succeeded")[choice % 4])

    def refund_turns(self, choice: int) -> None:
        """A pending refund succeeds; one that succeeded fails after all (R13)."""
        if self.facts.refunds:
            one = self.facts.refunds[choice % len(self.facts.refunds)]
            fails = one.succeeded and choice % 2 == 0
            self.calm = self.calm and not fails
            self.change("refunds", one, status="failed" if fails or one.failed else "succeeded")

    def dashboard_refunds(self, choice: int) -> None:
        for paid in self.facts.payments[:1]:
            amount = min(PRICE * (choice + 1) // 10, self.at_stripe(paid.payment_intent_id))
            if amount > 0:
                name = f"re_out_{len(self.facts.refunds)}"
                self.add("refunds", replace(refund(amount, name=name), payment_intent_id=paid.payment_intent_id))

    def staff_refund(self, choice: int) -> None:
        for paid in self.facts.payments[:1]:
            amount = min(PRICE * (choice + 1) // 10, self.at_stripe(paid.payment_intent_id))
            waiting = any(i.open and i.kind is IntentKind.REFUND for i in self.facts.intents)
            if amount > 0 and not waiting:
                name = f"it_staff_{len(self.facts.intents)}"
                wish = refund_intent(
                    amount, name, created_at=self.now, automatic=False, awaits_approval=choice % 2 == 1
                )
                self.add("intents", replace(wish, target=paid.payment_intent_id))

    def bank_disputes(self, choice: int) -> None:
        for paid in self.facts.payments[:1]:
            self.calm = False
            if self.facts.disputes:
                outcome = ("won", "lost")[choice % 2]
                self.facts = replace(self.facts, disputes=(replace(self.facts.disputes[0], status=outcome),))
            else:
                amount = min(PRICE // (choice + 1), self.at_stripe(paid.payment_intent_id))
                news = DisputeFacts("dp", paid.payment_intent_id, amount, inquiry=False, status="needs_response")
                self.add("disputes", news)

    # The providers.

    def at_stripe(self, payment_intent_id: str) -> int:
        """What Stripe would still let somebody refund."""
        (paid,) = [one for one in self.facts.payments if one.payment_intent_id == payment_intent_id]
        out = sum(r.amount for r in self.facts.refunds if r.payment_intent_id == payment_intent_id and not r.failed)
        return paid.captured - out

    def chosen(self, choice: int) -> IntentFacts | None:
        claimable = [i for i in self.facts.intents if i.open and not i.awaits_approval]
        return claimable[choice % len(claimable)] if claimable else None

    def carry_out(self, intent: IntentFacts, refund_status: str = "succeeded") -> None:
        """The call and its answer."""
        outcome = Outcome.DONE
        session = next((one for one in self.facts.checkouts if one.session_id == intent.target), None)
        match intent.kind:
            case IntentKind.OPEN_CHECKOUT:
                number = len(self.facts.checkouts) + 1
                end = self.now + 35 * MINUTE
                self.add("checkouts", checkout(number, intent_id=intent.id, expires_at=end))
            case IntentKind.EXPIRE_CHECKOUT if session and session.status is CheckoutStatus.OPEN:
                self.change("checkouts", session, status=CheckoutStatus.EXPIRED)
            case IntentKind.READ_CHECKOUT if session:
                over = session.status is CheckoutStatus.OPEN and self.now >= session.expires_at
                status = CheckoutStatus.EXPIRED if over else session.status
                result = AsyncResult.FAILED if session.awaits_result else session.async_result
                self.change("checkouts", session, status=status, async_result=result, read_at=self.now)
            case IntentKind.READ_PAYMENT:
                for paid in self.facts.payments:
                    if paid.payment_intent_id == intent.target:
                        self.change("payments", paid, provisional=False, read_at=self.now)
            case IntentKind.CANCEL_EVENT:
                for one in self.facts.bookings:
                    begun = one.start is not None and self.now >= one.start
                    if one.event_id == intent.target and not one.cancelled and not begun:
                        ours = cancelled(one, self.now, by_host=True, reference=intent.id)
                        self.change("bookings", one, **changes_of(ours))
            case IntentKind.REFUND:
                if intent.amount > self.at_stripe(intent.target):
                    outcome = Outcome.WITHDRAWN  # Stripe refuses: our view was old
                else:
                    self.calm = self.calm and refund_status != "failed"
                    made = refund(intent.amount, refund_status, intent=intent.id)
                    self.add("refunds", replace(made, payment_intent_id=intent.target, recorded_at=self.now))
        self.change("intents", intent, outcome=outcome, started=True, closed_at=self.now)

    def come_to_rest(self) -> None:
        """Every call is made, every pending refund succeeds, and the clock runs until nothing is left to wait for."""
        for _ in range(60):
            verdict = self.settle()
            intent = self.chosen(0)
            if intent:
                self.carry_out(intent)
            elif verdict.wake_at is None:
                return
            else:
                self.now = verdict.wake_at
            for one in self.facts.refunds:
                self.change("refunds", one, status="succeeded" if one.pending else one.status)
        raise AssertionError("it does not come to rest")


def changes_of(one) -> dict[str, Any]:
    return {"cancelled": one.cancelled, "rescheduled": one.rescheduled, "left_at": one.left_at}


EVENTS: list[Callable[[World, int], None]] = [
    World.wait,
    World.calendly_tells,
    World.client_reschedules,
    World.somebody_cancels,
    World.client_asks,
    World.client_pays,
    World.client_submits,
    World.client_wants_another_checkout,
    World.claim,
    World.answer,
    World.refund_turns,
    World.dashboard_refunds,
    World.staff_refund,
    World.bank_disputes,
]
Happening = tuple[Callable[[World, int], None], int]
OPEN: list[Happening] = [(World.calendly_tells, 0), (World.answer, 0)]
PAID: list[Happening] = [*OPEN, (World.client_pays, 1)]
# The bank says no and the client pays with a second checkout; and then the bank pays after all.
DOUBLY_PAID: list[Happening] = [
    *OPEN,
    (World.client_submits, 0),
    (World.client_submits, 0),
    (World.client_wants_another_checkout, 0),
    (World.answer, 0),
    (World.client_pays, 1),
    (World.client_pays, 0),
]
BEGINNINGS = st.sampled_from([[], OPEN, PAID, PAID, DOUBLY_PAID])
HAPPENINGS = st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 7)), max_size=20)


def live(*happenings: Happening) -> World:
    world = World()
    for event, choice in happenings:
        event(world, choice)
        world.settle()
    return world


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BEGINNINGS, HAPPENINGS)
def test_every_life_comes_to_rest_with_the_books_in_order(beginning, happenings):
    world = live(*beginning, *happenings)
    world.come_to_rest()
    facts, verdict = world.facts, decide(world.facts, world.now)
    # Nobody can pay any more, and nothing is under way.
    assert not any(one.status is CheckoutStatus.OPEN for one in facts.checkouts)
    assert not any(intent.open and not intent.awaits_approval for intent in facts.intents)
    # The client and the slot.
    assert BookingStatus.PENDING not in world.statuses.values()
    if world.statuses[world.tip.id] is BookingStatus.CANCELLED:
        assert world.tip.cancelled or not world.tip.seen or world.now >= world.tip.start
    # The money.
    paid = sum(one.captured for one in facts.payments)
    outside = sum(one.amount for one in facts.refunds if not one.intent_id and one.succeeded)
    staff = {intent.id for intent in facts.intents if not intent.automatic}
    by_staff = sum(one.amount for one in facts.refunds if one.intent_id in staff and one.succeeded)
    if world.calm:
        expected = min(paid, max(should_return(facts), outside) + by_staff)
        assert verdict.refunded == expected
    assert verdict.refunded <= paid


def should_return(facts: FlowFacts) -> int:
    """What should have gone back of the money, said for whole payments of one price."""
    paid, end = len(facts.payments), facts.decision
    if end is None:
        return max(0, paid - 1) * PRICE
    in_time = any(one.captured_at is not None and one.captured_at <= end.at for one in facts.payments)
    if not in_time or end.row == "D4":
        return paid * PRICE
    return (paid - 1) * PRICE + PRICE * end.percent // 100


def test_a_session_that_nobody_disturbs_is_completed_and_kept():
    world = live(*PAID)
    world.come_to_rest()
    assert list(world.statuses.values()) == [BookingStatus.COMPLETED]
    assert world.facts.refunds == ()
    assert world.now == T0 + 3 * DAY + timedelta(hours=1)
