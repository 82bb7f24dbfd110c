"""What is booked: scheduled events and their invitees, and what may be done to them.

Both are kept as Calendly's own JSON (`resources`). A change is announced under the lock that it was made under, so a
webhook says how things stood right after what it is about.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sandbox.calendly import resources
from sandbox.calendly.hours import HORIZON, Slot, Span, slots
from sandbox.calendly.people import EVENT_TYPES, EventType, Guest, Host
from sandbox.calendly.resources import id_of, moment, stamp
from sandbox.state import Json, State


class NotFound(Exception):
    """There is nothing under that id."""


class SlotTaken(Exception):
    """Nobody can be booked at that time: taken meanwhile, or outside the host's hours."""


class NotAllowed(Exception):
    """A clear no, in the words of the real API."""


@dataclass(frozen=True, slots=True)
class News:
    """What one webhook tells: `name` is the kind of event, `invitee` and `scheduled_event` how things stand."""

    name: str
    invitee: Json
    scheduled_event: Json


class Ledger:
    """All bookings. `announce(news)` is told of each change: what happened, in the order in which it shall be told."""

    def __init__(self, state: State, announce: Callable[[list[News]], None]) -> None:
        self._state = state
        self._announce = announce

    @property
    def scheduled_events(self) -> dict[str, Json]:
        return self._state.table("scheduled_events")

    @property
    def invitees(self) -> dict[str, Json]:
        return self._state.table("invitees")

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._state.now(), UTC)

    def scheduled_event(self, event_id: str) -> Json:
        return _found(self.scheduled_events, event_id)

    def invitee(self, invitee_id: str) -> Json:
        return _found(self.invitees, invitee_id)

    def event_of(self, invitee: Json) -> Json:
        return self.scheduled_events[id_of(invitee["event"])]

    def is_open(self, invitee: Json) -> bool:
        """Whether it can still be cancelled or moved."""
        return bool(invitee["status"] == "active" and self.event_of(invitee)["start_time"] > stamp(self.now()))

    def absentee(self, no_show_id: str) -> Json:
        """The invitee who was marked with this no-show."""
        marked = {id_of(each["no_show"]["uri"]): each for each in self.invitees.values() if each["no_show"]}
        return _found(marked, no_show_id)

    def slots(self, kind: EventType, since: datetime, until: datetime) -> list[Slot]:
        """All starts in [since, until) within the host's hours, free or taken."""
        with self._state.lock:
            return list(slots(kind, self._busy(kind.host), since, until, self.now()))

    def first_free(self, kind: EventType) -> datetime:
        """The next start that can be booked. Raises SlotTaken if there is none left."""
        now = self.now()
        with self._state.lock:
            found = slots(kind, self._busy(kind.host), now, now + HORIZON, now)
            free = next((slot.start for slot in found if not slot.taken), None)
        if free is None:
            raise SlotTaken(kind.slug)
        return free

    def book(self, kind: EventType, guest: Guest, start: datetime, *, at_any_time: bool = False) -> Json:
        """Book a guest and give the invitee. Final at once: there are no holds at Calendly.

        `at_any_time` is for the control room: outside hours, on top of another, even in the past.
        """
        with self._state.changing():
            if not at_any_time:
                self._must_be_free(kind, start)
            invitee = self._new_invitee(kind, guest, start)
            self._tell(("invitee.created", invitee))
            return invitee

    def cancel(self, invitee: Json, *, by: str, canceler_type: str, reason: str | None) -> Json:
        """End a booking and give its cancellation. Raises NotAllowed when it is over already."""
        with self._state.changing():
            self._must_be_open(invitee)
            cancellation = self._end(invitee, by, canceler_type, reason)
            self._tell(("invitee.canceled", invitee))
            return cancellation

    def reschedule(
        self,
        old: Json,
        start: datetime,
        *,
        reason: str | None,
        canceled_first: bool,
        copies_tracking: bool,
        kind: EventType | None = None,
        at_any_time: bool = False,
    ) -> Json:
        """Move a booking: the old invitee ends, and a new one, which is given, begins. Two webhooks tell of it."""
        with self._state.changing():
            self._must_be_open(old)
            kind = kind or EVENT_TYPES[id_of(self.event_of(old)["event_type"])]
            if not at_any_time:
                self._must_be_free(kind, start)
            guest = _guest_of(old)
            new = self._new_invitee(kind, guest if copies_tracking else replace(guest, tracking={}), start)
            # The answers stay as they were, to another event type's questions too.
            new["questions_and_answers"] = old["questions_and_answers"]
            new["old_invitee"], old["new_invitee"], old["rescheduled"] = old["uri"], new["uri"], True
            self._end(old, old["name"], "invitee", reason)
            news = [("invitee.canceled", old), ("invitee.created", new)]
            self._tell(*(news if canceled_first else reversed(news)))
            return new

    def mark_no_show(self, invitee: Json) -> Json:
        """The guest did not come. Gives the mark; marking again gives the same and tells nobody."""
        with self._state.changing():
            if invitee["no_show"] is None:
                mark = {"uri": f"/invitee_no_shows/{self._state.new_uuid()}", "created_at": stamp(self.now())}
                invitee["no_show"], invitee["updated_at"] = mark, mark["created_at"]
                self._tell(("invitee_no_show.created", invitee))
            return {**invitee["no_show"], "invitee": invitee["uri"]}

    def undo_no_show(self, invitee: Json) -> None:
        """The guest did come."""
        with self._state.changing():
            invitee["no_show"], invitee["updated_at"] = None, stamp(self.now())
            self._tell(("invitee_no_show.deleted", invitee))

    def _tell(self, *news: tuple[str, Json]) -> None:
        self._announce([News(name, invitee, self.event_of(invitee)) for name, invitee in news])

    def _busy(self, host: Host) -> Iterator[Span]:
        return (
            (moment(event["start_time"]), moment(event["end_time"]))
            for event in self.scheduled_events.values()
            if event["status"] == "active" and EVENT_TYPES[id_of(event["event_type"])].host == host
        )

    def _must_be_free(self, kind: EventType, start: datetime) -> None:
        found = next(slots(kind, self._busy(kind.host), start, start + timedelta(seconds=1), self.now()), None)
        if found is None or found.taken:
            raise SlotTaken(stamp(start))

    def _must_be_open(self, invitee: Json) -> None:
        if invitee["status"] != "active":
            raise NotAllowed("Event is already canceled")
        if not self.is_open(invitee):
            raise NotAllowed("Event in the past")

    def _new_invitee(self, kind: EventType, guest: Guest, start: datetime) -> Json:
        event_id, invitee_id = self._state.new_uuid(), self._state.new_uuid()
        now = self.now()
        self.scheduled_events[event_id] = resources.new_scheduled_event(event_id, kind, start, now)
        self.invitees[invitee_id] = resources.new_invitee(invitee_id, event_id, guest, now)
        return self.invitees[invitee_id]

    def _end(self, invitee: Json, by: str, canceler_type: str, reason: str | None) -> Json:
        now = stamp(self.now())
        cancellation = {"canceled_by": by, "reason": reason, "canceler_type": canceler_type, "created_at": now}
        event = self.event_of(invitee)
        for ended in (invitee, event):
            ended |= {"status": "canceled", "cancellation": cancellation, "updated_at": now}
        event["invitees_counter"]["active"] = 0
        return cancellation


def _found(table: Mapping[str, Json], key: str) -> Json:
    if key not in table:
        raise NotFound(key)
    return table[key]


def _guest_of(invitee: Json) -> Guest:
    """The same person once more."""
    return Guest(
        invitee["name"],
        invitee["email"],
        invitee["timezone"],
        invitee["text_reminder_number"] or "",
        tracking=invitee["tracking"],
    )
