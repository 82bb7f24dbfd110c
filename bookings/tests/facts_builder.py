"""Flows for the tests of the pure core, in few words: `flow(booking(), *paid(), refund(3_000))`.

Every builder gives the usual case; what a test is about is said by name. Times stand around `T0`, when the booking
was made and recorded; the session begins at `START`, three days later.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bookings.facts import (
    BookingFacts,
    CancelAsked,
    CheckoutFacts,
    CheckoutStatus,
    Decision,
    DisputeFacts,
    FlowFacts,
    IntentFacts,
    IntentKind,
    InviteeCancelled,
    Outcome,
    Party,
    PaymentFacts,
    RefundFacts,
    Verdict,
)
from bookings.quantities import STANDARD_TIERS

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
T0 = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
START = T0 + 3 * DAY
HOLD_END = T0 + 30 * MINUTE
PRICE = 10_000

KINDS: dict[str, type] = {
    "bookings": BookingFacts,
    "checkouts": CheckoutFacts,
    "payments": PaymentFacts,
    "refunds": RefundFacts,
    "disputes": DisputeFacts,
    "intents": IntentFacts,
}
Edge = tuple[str, str]
Thing = BookingFacts | CheckoutFacts | PaymentFacts | RefundFacts | DisputeFacts | IntentFacts | Edge


def flow(*things: Thing, **changes: Any) -> FlowFacts:
    """A flow of 100.00 USD with a hold of 30 minutes, and these things in it, each put where its kind belongs."""
    base = FlowFacts(
        id="bf_1",
        price=PRICE,
        currency="USD",
        tiers=STANDARD_TIERS,
        hold=30 * MINUTE,
        event_type_id="et_1",
        edges=frozenset(thing for thing in things if isinstance(thing, tuple)),
    )
    sorted_things: dict[str, Any] = {
        name: tuple(one for one in things if isinstance(one, kind)) for name, kind in KINDS.items()
    }
    return replace(base, **sorted_things, **changes)


def booking(name: str = "A", **changes: Any) -> BookingFacts:
    """A booking that Calendly told us of."""
    start = changes.get("start", START)
    usual = BookingFacts(
        id=f"bk_{name}",
        recorded_at=T0,
        invitee_id=f"inv_{name}",
        event_id=f"ev_{name}",
        event_type_id="et_1",
        start=start,
        end=start + HOUR if start else None,
        created_at=T0,
    )
    return replace(usual, **changes)


def unseen(**changes: Any) -> BookingFacts:
    """A booking of which only store-event spoke."""
    return replace(BookingFacts("bk_unseen", recorded_at=T0), **changes)


def cancelled(one: BookingFacts, at: datetime, *, by_host: bool = False, **changes: Any) -> BookingFacts:
    return replace(one, cancelled=InviteeCancelled(at, by_host, changes.pop("reference", None)), left_at=at, **changes)


def moved(old: str, new: str) -> Edge:
    """Calendly says that one invitee gave way to another."""
    return f"inv_{old}", f"inv_{new}"


def opened(number: int = 1, **changes: Any) -> IntentFacts:
    """The intent of a checkout, answered."""
    usual = IntentFacts(
        id=f"it_open_{number}",
        kind=IntentKind.OPEN_CHECKOUT,
        target="",
        outcome=Outcome.DONE,
        created_at=T0,
        amount=PRICE,
        started=True,
    )
    return replace(usual, **changes)


def checkout(number: int = 1, **changes: Any) -> CheckoutFacts:
    """An open checkout, which Stripe ends after 35 minutes."""
    usual = CheckoutFacts(f"cs_{number}", f"it_open_{number}", CheckoutStatus.OPEN, expires_at=T0 + 35 * MINUTE)
    return replace(usual, **changes)


def payment(number: int = 1, amount: int = PRICE, at: datetime = T0 + 5 * MINUTE, **changes: Any) -> PaymentFacts:
    """Money captured for the checkout of that number, its time read from the charge."""
    usual = PaymentFacts(
        payment_intent_id=f"pi_{number}",
        captured=amount,
        currency="USD",
        recorded_at=at,
        intent_id=f"it_open_{number}",
        captured_at=at,
        provisional=False,
    )
    return replace(usual, **changes)


def paid(number: int = 1, **changes: Any) -> list[Thing]:
    """A checkout that went well: its intent, its session and its payment, all of one amount."""
    money = payment(number, **changes)
    session = checkout(number, status=CheckoutStatus.COMPLETE, paid=True, completed_at=money.recorded_at)
    return [opened(number, amount=money.captured), session, money]


def call(kind: IntentKind, target: str, name: str | None = None, **changes: Any) -> IntentFacts:
    """An intent that waits to be claimed."""
    usual = IntentFacts(name or f"it_{kind}", kind, target, Outcome.OPEN, created_at=T0 + 10 * MINUTE)
    return replace(usual, **changes)


def refund_intent(amount: int, name: str = "it_refund", of: int = 1, **changes: Any) -> IntentFacts:
    """An automatic refund that waits to be claimed."""
    return call(IntentKind.REFUND, f"pi_{of}", name, amount=amount, **changes)


def refund(
    amount: int, status: str = "succeeded", of: int = 1, intent: str | None = None, name: str = ""
) -> RefundFacts:
    """Money sent back; made outside unless an intent is named."""
    return RefundFacts(name or f"re_{intent}", f"pi_{of}", amount, status, T0 + HOUR, intent_id=intent)


def sent(amount: int, status: str = "succeeded", of: int = 1, name: str = "it_refund", **changes: Any) -> list[Thing]:
    """A refund of ours that Stripe answered: the intent and the refund."""
    intent = refund_intent(amount, name, of, outcome=Outcome.DONE, started=True, closed_at=T0 + HOUR)
    return [replace(intent, **changes), refund(amount, status, of, intent=name)]


def dispute(amount: int = PRICE, status: str = "needs_response", of: int = 1, **changes: Any) -> DisputeFacts:
    return replace(DisputeFacts(f"dp_{of}", f"pi_{of}", amount, inquiry=False, status=status), **changes)


def asked(at: datetime = T0 + HOUR, by: Party = Party.CLIENT, **changes: Any) -> CancelAsked:
    return CancelAsked(at, by, **changes)


def ended(row: str = "D1", percent: int = 100, at: datetime = T0 + HOUR, **changes: Any) -> Decision:
    """The end of a flow as it was written before."""
    return Decision(row, percent, at, **{"by": Party.CLIENT} | changes)


def written(facts: FlowFacts, verdict: Verdict, now: datetime) -> FlowFacts:
    """The facts after a verdict was stored: its decision, its new intents as open rows, the withdrawn ones closed."""
    kept = [
        replace(intent, outcome=Outcome.WITHDRAWN, closed_at=now) if intent.id in verdict.withdrawn else intent
        for intent in facts.intents
    ]
    new = [
        IntentFacts(f"it_new_{len(kept) + n}", due.kind, due.target, Outcome.OPEN, created_at=now, amount=due.amount)
        for n, due in enumerate(verdict.intents)
    ]
    return replace(facts, decision=verdict.decision, intents=(*kept, *new))
