"""When hosts can be booked."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sandbox.calendly.hours import HORIZON, NOTICE, slots
from sandbox.calendly.people import BO, EVENT_TYPES, MIA
from sandbox.tests.test_calendly.conftest import CONSULTATION

HOUR = EVENT_TYPES[CONSULTATION]
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


def starts(kind=HOUR, busy=(), since=MONDAY, days=1, now=MONDAY - timedelta(days=7)):
    return list(slots(kind, busy, since, since + timedelta(days=days), now))


def test_a_day_has_the_hosts_hours_and_ends_with_the_last_meeting_that_fits():
    local = [slot.start.astimezone(ZoneInfo(BO.timezone)).strftime("%H:%M") for slot in starts()]
    assert (local[0], local[1], local[-1]) == ("09:00", "09:30", "16:00")


def test_hours_stay_the_same_on_the_clock_when_summer_time_ends():
    before, after = datetime(2026, 10, 23, tzinfo=UTC), datetime(2026, 10, 26, tzinfo=UTC)
    assert starts(since=before, now=before - timedelta(days=7))[0].start.hour == 7
    assert starts(since=after, now=before - timedelta(days=7))[0].start.hour == 8


def test_weekends_are_free():
    assert {slot.start.weekday() for slot in starts(days=14)} == {0, 1, 2, 3, 4}


def test_a_host_across_the_sea_has_all_of_the_day():
    kind = next(each for each in EVENT_TYPES.values() if each.host == MIA)
    local = [slot.start.astimezone(ZoneInfo(MIA.timezone)) for slot in starts(kind, days=5)]
    assert {start.weekday() for start in local} == {0, 1, 2, 3, 4}
    assert min(start.hour for start in local) == 10


def test_whatever_overlaps_is_taken_and_what_touches_is_not():
    begin = MONDAY + timedelta(hours=10)
    taken = [slot.start for slot in starts(busy=[(begin, begin + timedelta(hours=1))]) if slot.taken]
    assert taken == [begin - timedelta(minutes=30), begin, begin + timedelta(minutes=30)]


def test_nothing_is_offered_on_short_notice_or_too_far_ahead():
    now = MONDAY + timedelta(hours=8)
    offered = [slot.start for slot in starts(days=90, now=now)]
    assert offered[0] == now + NOTICE
    assert offered[-1] < now + HORIZON
    assert offered[-1] > now + HORIZON - timedelta(days=3)
