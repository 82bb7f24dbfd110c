"""Stripe's own books: every object, in tables named after the objects, and what the rooms around it share."""

from contextvars import ContextVar
from dataclasses import dataclass

from sandbox.state import Json, State
from sandbox.stripe import shapes
from sandbox.stripe.errors import no_such
from sandbox.stripe.events import Events
from sandbox.stripe.money import SETTLEMENT, fee, settled

ONLY_FOR_US = ("order", "later", "planned_refund", "endpoint_secret", "delivery", "saved_answer", "letters")
"""Tables that are no objects of Stripe's."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something happens: a call of the API (with its ids), or none (a payer, the bank, the clock)."""

    request_id: str | None = None
    idempotency_key: str | None = None

    def told(self) -> Json:
        """As events tell it."""
        return {"id": self.request_id, "idempotency_key": self.idempotency_key}


cause: ContextVar[Cause] = ContextVar("cause", default=Cause())  # noqa: B039 - frozen


class Ledger:
    """The objects, and the few things that every room does with them. Use it inside `state.changing()`."""

    def __init__(self, state: State, events: Events) -> None:
        self.state = state
        self.events = events

    def rows(self, kind: str) -> dict[str, Json]:
        """All objects of this kind, oldest first."""
        return self.state.table(kind)

    def find(self, kind: str, its_id: str, *, param: str = "id", status: int = 404) -> Json:
        """The object itself. Raises Stripe's `resource_missing`."""
        found = self.rows(kind).get(its_id)
        if found is None:
            raise no_such(kind, its_id, param=param, status=status)
        return found

    def keep(self, new: Json) -> Json:
        """Put a new object into its table."""
        self.rows(new["object"])[new["id"]] = new
        return new

    def now(self) -> int:
        """Stripe's clock, in whole seconds as Stripe tells time."""
        return int(self.state.now())

    def tell(self, kind: str, about: Json, previous: Json | None = None) -> None:
        """Write an event with a snapshot of the object, and post it to whom it concerns."""
        self.events.emit(kind, about, request=cause.get().told(), previous=previous)

    def later(self, seconds: float, what: str, about: str) -> None:
        """Have `clockwork` do something to an object when so much time has passed."""
        key = f"{what} {about}"
        self.rows("later")[key] = {"due": self.state.now() + seconds, "what": what, "about": about}

    def not_later(self, what: str, about: str) -> bool:
        """Take it off the list; whether it was there."""
        return self.rows("later").pop(f"{what} {about}", None) is not None

    def move_balance(self, kind: str, amount: int, currency: str, *, source: str, with_fee: int | None = None) -> Json:
        """Move the account's balance by an amount in the charge's currency (negative: out).

        `with_fee` is a fee in the balance's currency; None is Stripe's own for what comes in, nothing for what goes.
        """
        here, rate = settled(amount, currency)
        cost = with_fee if with_fee is not None else fee(here) if kind in ("charge", "payment") else 0
        return self.keep(
            shapes.balance_transaction(
                self.state.new_id("txn_3"),
                created=self.now(),
                amount=here,
                currency=SETTLEMENT,
                fee=cost,
                rate=rate,
                kind=kind,
                source=source,
            )
        )
