"""A month of slots, as the scheduling page shows it: weeks of days, and the times of one of them. Pure."""

import calendar
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from sandbox.calendly.hours import Slot


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the calendar; `slots` are those that begin on it where the guest is."""

    date: date
    slots: tuple[Slot, ...]

    @property
    def open(self) -> bool:
        return any(not slot.taken for slot in self.slots)


@dataclass(frozen=True, slots=True)
class Month:
    """`first` is its first day, `before` and `after` those of the months beside it."""

    first: date
    zone: ZoneInfo

    @property
    def before(self) -> date:
        return date(self.first.year - (self.first.month == 1), (self.first.month - 2) % 12 + 1, 1)

    @property
    def after(self) -> date:
        return date(self.first.year + (self.first.month == 12), self.first.month % 12 + 1, 1)

    @property
    def begins(self) -> datetime:
        return datetime.combine(self.first, time(), self.zone).astimezone(UTC)

    @property
    def ends(self) -> datetime:
        return datetime.combine(self.after, time(), self.zone).astimezone(UTC)

    def weeks(self, slots: Iterable[Slot]) -> list[list[Day | None]]:
        """Monday to Sunday; None for days of other months."""
        by_date: dict[date, list[Slot]] = {}
        for slot in slots:
            by_date.setdefault(slot.start.astimezone(self.zone).date(), []).append(slot)
        return [
            [Day(each, tuple(by_date.get(each, ()))) if each.month == self.first.month else None for each in week]
            for week in calendar.Calendar().monthdatescalendar(self.first.year, self.first.month)
        ]
