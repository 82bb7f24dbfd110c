"""A flow under its lock: what `record_*` and `request_*` functions take.

Only `payments.settlement.settled_flow` hands one out, so nothing can change a flow and forget to settle it.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from django.db.models import Model

from bookings.models import Booking, BookingFlow, RescheduleEdge


@dataclass(frozen=True, slots=True)
class Cause:
    """Who brings news of a flow, and by which delivery, intent or request (LIFECYCLE I10)."""

    kind: str
    """delivery, intent, request or clock."""
    who: str
    """client, staff, calendly, stripe or system."""
    id: str = ""
    user_id: int | None = None

    @classmethod
    def delivery(cls, provider: str, key: str) -> Self:
        return cls("delivery", provider, key)

    @classmethod
    def intent(cls, intent_id: str, provider: str) -> Self:
        return cls("intent", provider, intent_id)

    @classmethod
    def request(cls, request_id: str, who: str = "client", user_id: int | None = None) -> Self:
        return cls("request", who, request_id, user_id)

    @classmethod
    def clock(cls) -> Self:
        return cls("clock", "system")


def values(row: Model) -> dict[str, object]:
    """A row's columns as they are now, to see afterwards whether news changed any."""
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


@dataclass(slots=True)
class LockedFlow:
    """One flow, its bookings and their reschedules, why it is being changed, and the time that counts as now."""

    row: BookingFlow
    bookings: list[Booking]
    edges: list[RescheduleEdge]
    cause: Cause
    now: datetime
    notes: list[str] = field(default_factory=list)
    """What was recorded, in words for the timeline; empty when nothing was new."""
    touched: bool = False

    @property
    def id(self) -> str:
        return self.row.id

    def save(self, row: Model, note: str = "") -> None:
        """Store a fact of this flow that was new, with a line for the timeline."""
        row.save()
        self.touched = True
        if note:
            self.notes.append(note)

    def booking_of(self, invitee_id: str) -> Booking | None:
        """The booking of an invitee, if it was seen in this flow."""
        return next((one for one in self.bookings if one.invitee_id == invitee_id), None)

    @property
    def unseen(self) -> Booking | None:
        """The booking that only store-event spoke of, if there is one."""
        return next((one for one in self.bookings if one.invitee_id is None), None)
