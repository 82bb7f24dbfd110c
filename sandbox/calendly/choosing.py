"""The page on which a guest chooses a time, to book or to move a booking."""

import re
from collections.abc import Iterable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from flask import render_template, request

from sandbox.calendly.asking import carried, zone_or
from sandbox.calendly.ledger import Ledger, SlotTaken
from sandbox.calendly.month import Day, Month
from sandbox.calendly.people import EventType

OFFERED_TIMEZONES = {
    "America/Los_Angeles",
    "America/New_York",
    "America/Sao_Paulo",
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Africa/Lagos",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Sydney",
}

GONE = "That time is no longer available. Please choose another one."


def times_page(ledger: Ledger, kind: EventType, path: str, *, heading: str, problem: str = "") -> str:
    """The month and the day that the query asks for, or the first that is open. Slots lead to `<path>/<start>`."""
    zone = zone_or(kind.host.timezone)
    month = _asked_month(ledger, kind, zone)
    weeks = month.weeks(ledger.slots(kind, month.begins, month.ends))
    days = [day for week in weeks for day in week if day]
    return render_template(
        "times.html",
        kind=kind,
        heading=heading,
        problem=problem,
        month=month,
        weeks=weeks,
        day=_asked_day(days),
        zone=zone,
        timezones=sorted(OFFERED_TIMEZONES | {kind.host.timezone, zone.key}),
        path=path,
        slot_link=lambda start: carried(f"{path}/{start:%Y-%m-%dT%H:%M:%SZ}", month=None, date=None),
        query={key: value for key, value in request.args.items() if key not in ("timezone", "month", "date")},
    )


def _asked_month(ledger: Ledger, kind: EventType, zone: ZoneInfo) -> Month:
    for text in (request.args.get("month", ""), request.args.get("date", "")[:7]):
        if re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", text):
            return Month(date.fromisoformat(f"{text}-01"), zone)
    try:
        start: datetime = ledger.first_free(kind)
    except SlotTaken:
        start = ledger.now()
    return Month(start.astimezone(zone).date().replace(day=1), zone)


def _asked_day(days: Iterable[Day]) -> Day | None:
    asked = request.args.get("date", "")
    listed = list(days)
    chosen = next((day for day in listed if day.date.isoformat() == asked), None)
    return chosen or next((day for day in listed if day.open), None)
