"""When a host can be booked. Pure: what is taken and the present moment are passed in."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sandbox.calendly.people import EventType, Host

# What Calendly sets for a new event type.
NOTICE = timedelta(hours=4)
HORIZON = timedelta(days=60)

STEP = timedelta(minutes=30)

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Slot:
    """A start that falls into the host's hours, and whether somebody has it already."""

    start: datetime
    taken: bool


def slots(
    event_type: EventType, busy: Iterable[Span], since: datetime, until: datetime, now: datetime
) -> Iterator[Slot]:
    """All starts in [since, until) that lie inside hours, notice and horizon, in order, in UTC."""
    taken = list(busy)
    earliest, latest = max(since, now + NOTICE), min(until, now + HORIZON)
    # A host's day may begin on another date than UTC's: one more on either side costs nothing.
    day = earliest.date() - timedelta(days=1)
    while day <= latest.date() + timedelta(days=1):
        for start in _starts_on(day, event_type.host, timedelta(minutes=event_type.minutes)):
            if earliest <= start < latest:
                end = start + timedelta(minutes=event_type.minutes)
                yield Slot(start, any(start < other_end and other_start < end for other_start, other_end in taken))
        day += timedelta(days=1)


def _starts_on(day: date, host: Host, length: timedelta) -> Iterator[datetime]:
    if day.weekday() >= 5:
        return
    zone = ZoneInfo(host.timezone)
    closes = datetime.combine(day, host.closes, zone).astimezone(UTC)
    start = datetime.combine(day, host.opens, zone).astimezone(UTC)
    while start + length <= closes:
        yield start
        start += STEP
