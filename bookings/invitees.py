"""One normalised record of a Calendly invitee, from every shape in which we may hear of one. Pure.

Three shapes are read (DESIGN 6.1): Calendly's real v2 (a flat invitee in `payload`, its scheduled event inside,
`payload.event` an address), and the two of our contract (sections 3.2 and 1.2: `payload.data` holds both, and
`payload.event` is a name). The contract's know no event type, no type of canceler and no time of cancellation;
such gaps are None or empty here, and whoever needs them reads the invitee back.

Documentation: https://developer.calendly.com/api-docs/ ("Webhook payload", "Get Event Invitee", "Get Event").
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bookings.reading import HOST, ID, LONG_TEXT, SHORT_TEXT, Fields, UnknownShape

__all__ = ["UnknownShape"]  # raised by all parsers here, so it belongs to this module's words

INVITEE_NEWS = ("invitee.", "invitee_no_show.")
NO_SHOW_NEWS = {"invitee_no_show.created": True, "invitee_no_show.deleted": False}
OTHER_NEWS = ("routing_form_submission.", "event_type.", "meeting_recap.", "contact.")
# Calendly's tracking has exactly six keys; the seventh is the contract's.
TRACKING_KEYS = (
    *("utm_campaign", "utm_source", "utm_medium", "utm_content", "utm_term", "salesforce_uuid"),
    "booking_flow_id",
)
# Nothing else of a location is kept: Zoom's data holds the meeting's password.
LOCATION_KEYS = ("type", "location", "join_url")
FLOW_ID_PREFIX = "bf_"


class RetiredShape(Exception):
    """A webhook of Calendly's API v1, which is switched off: counted and ignored."""


class NotAnInvitee(Exception):
    """Calendly news that is not about an invitee (a routing form, an event type): ignored."""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """That something is cancelled, and what is known about it."""

    at: datetime | None
    by: str
    """A name for people to read."""
    canceler_type: str
    """`host` or `invitee`; empty if unknown. A word that Calendly adds one day is kept."""
    reason: str


@dataclass(frozen=True, slots=True)
class ScheduledEvent:
    """A meeting in a host's calendar. A group event has several invitees."""

    event_id: str
    uri: str
    name: str
    event_type_id: str | None
    event_type_uri: str | None
    start: datetime | None
    end: datetime | None
    cancelled: bool
    cancellation: Cancellation | None
    location: dict[str, str]
    """`type`, and `location` or `join_url`, as far as they are known."""
    active_invitees: int | None


@dataclass(frozen=True, slots=True)
class Invitee:
    """One person in one scheduled event. Missing texts are empty."""

    invitee_id: str
    event_id: str
    uri: str
    event_uri: str
    name: str
    email: str
    timezone: str
    phone: str
    answers: tuple[tuple[str, str], ...]
    """(question, answer), in the order of the form."""
    created_at: datetime | None
    cancellation: Cancellation | None
    """Not None means cancelled, however little is known about it."""
    rescheduled: bool
    """Calendly sets it on the old invitee, whose cancellation is half of a reschedule."""
    old_invitee_id: str | None
    new_invitee_id: str | None
    old_event_id: str | None
    new_event_id: str | None
    tracking: dict[str, str]
    flow_id: str | None
    no_show: bool | None
    """What no-show news says; None in all other news, which says nothing about it."""
    scheduled_event: ScheduledEvent | None


@dataclass(frozen=True, slots=True)
class CalendlyNews:
    """A webhook about an invitee."""

    name: str
    """`invitee.created`, `invitee.canceled`, `invitee_no_show.created`, `invitee_no_show.deleted`, or a later one."""
    occurred_at: datetime | None
    shape: str
    """`v2`, `contract` (section 3.2) or `contract-1.2`."""
    invitee: Invitee


_RESOURCE_URI = re.compile(rf"{HOST}(?:/{ID})*/({ID})")
_INVITEE_URI = re.compile(rf"{HOST}/scheduled_events/({ID})/invitees/({ID})")
_NO_PATH = re.compile(rf"{HOST}/?")


def id_of(uri: str) -> str:
    """The last path segment of a Calendly address. Ids are compared, never hosts: Calendly itself uses two.

    Raises UnknownShape if the address has no such segment, or anything behind it.
    """
    match = _RESOURCE_URI.fullmatch(uri)
    if not match:
        raise UnknownShape("this is not the address of a Calendly resource")
    return match[1]


def event_and_invitee_ids(invitee_uri: str) -> tuple[str, str]:
    """The two ids in `.../scheduled_events/<E>/invitees/<I>`, whatever the host. ValueError for anything else."""
    match = _INVITEE_URI.fullmatch(invitee_uri)
    if not match:
        raise UnknownShape("this is not the address of a Calendly invitee")
    return match[1], match[2]


def parse_webhook(body: dict[str, Any]) -> CalendlyNews:
    """Read the JSON of a verified Calendly webhook.

    Raises UnknownShape (keep and park it), RetiredShape or NotAnInvitee (ignore it), and nothing else.
    """
    envelope = Fields(body, "body")
    payload = envelope.inner("payload")
    name = envelope.text("event") or _name_inside(payload)
    if name.startswith(OTHER_NEWS):
        raise NotAnInvitee(name)
    if isinstance(payload.unread.get("data"), dict):
        shape = "contract" if envelope.text("event") else "contract-1.2"
        invitee, occurred_at = Fields(_in_v2_words(payload), "payload.data"), payload.moment("created_at")
    elif isinstance(payload.unread.get("uri"), str):
        shape, invitee, occurred_at = "v2", payload, envelope.moment("created_at")
    elif isinstance(payload.unread.get("invitee"), dict):
        raise RetiredShape(name)
    else:
        raise UnknownShape("body.payload is of no shape that we know")
    if not name.startswith(INVITEE_NEWS):
        raise UnknownShape("the news has no name that we know")
    return CalendlyNews(name, occurred_at, shape, _invitee(invitee, name))


def parse_invitee(resource: dict[str, Any]) -> Invitee:
    """Read an invitee as Calendly's API gives it. Raises UnknownShape."""
    return _invitee(Fields(resource, "invitee"), "")


def parse_scheduled_event(resource: dict[str, Any]) -> ScheduledEvent:
    """Read a scheduled event as Calendly's API gives it. Raises UnknownShape."""
    return _scheduled_event(Fields(resource, "scheduled_event"))


def _name_inside(payload: Fields) -> str:
    """The news' name where the contract's section 1.2 has it. In v2 an address stands there."""
    name = payload.text("event")
    return "" if "://" in name else name


def _in_v2_words(payload: Fields) -> dict[str, Any]:
    """The contract's payload said as Calendly's v2 says it, so that one reader checks and reads both."""
    data = payload.inner("data")
    invitee, event = data.inner("invitee"), data.inner("event")
    told = invitee.inner("cancellation")
    uri = invitee.uri("uri") or payload.uri("uri")
    event_uri = event.uri("uri") or _event_uri(uri)
    event_cancelled = event.flag("canceled")
    cancellation = {
        **told.unread,
        "canceled_by": told.text("canceled_by") or event.text("canceler_name"),
        "reason": told.text("reason", LONG_TEXT) or event.text("cancel_reason", LONG_TEXT),
    }
    return {
        **invitee.unread,
        "uri": uri,
        "event": event_uri,
        "status": "canceled" if event_cancelled or invitee.flag("canceled") else "active",
        "cancellation": cancellation,
        "rescheduled": invitee.flag("rescheduled") or told.flag("rescheduled"),
        "tracking": invitee.inner("tracking").unread or data.inner("tracking").unread,
        "scheduled_event": event.unread
        and {
            **event.unread,
            "uri": event_uri,
            "status": "canceled" if event_cancelled else "active",
            "cancellation": cancellation,
        },
    }


def _invitee(fields: Fields, news: str) -> Invitee:
    uri = fields.uri("uri")
    _, invitee_id = event_and_invitee_ids(uri)
    scheduled_event = fields.inner("scheduled_event")
    event_uri = fields.uri("event") or scheduled_event.uri("uri") or _event_uri(uri)
    # The invitee's own status, not the event's: one guest of a group event may cancel while it stays active.
    cancelled = fields.text("status") == "canceled" or news == "invitee.canceled"
    old_event_id, old_invitee_id = _linked(fields.uri("old_invitee"))
    new_event_id, new_invitee_id = _linked(fields.uri("new_invitee"))
    tracking = _texts(fields.inner("tracking"), TRACKING_KEYS)
    return Invitee(
        invitee_id=invitee_id,
        event_id=id_of(event_uri),
        uri=uri,
        event_uri=event_uri,
        name=fields.text("name"),
        email=fields.text("email"),
        timezone=fields.text("timezone"),
        phone=fields.text("text_reminder_number"),
        answers=tuple(
            (item.text("question"), item.text("answer", LONG_TEXT)) for item in fields.each("questions_and_answers")
        ),
        created_at=fields.moment("created_at"),
        cancellation=_cancellation(fields) if cancelled else None,
        rescheduled=fields.flag("rescheduled"),
        old_invitee_id=old_invitee_id,
        new_invitee_id=new_invitee_id,
        old_event_id=old_event_id,
        new_event_id=new_event_id,
        tracking=tracking,
        flow_id=_flow_id(tracking),
        no_show=NO_SHOW_NEWS.get(news),
        scheduled_event=_scheduled_event(scheduled_event) if scheduled_event.unread else None,
    )


def _scheduled_event(fields: Fields) -> ScheduledEvent:
    uri, event_type_uri = fields.uri("uri"), fields.uri("event_type")
    start, end = fields.moment("start_time"), fields.moment("end_time")
    if start and end and end < start:
        raise UnknownShape("the scheduled event ends before it starts")
    cancelled = fields.text("status") == "canceled"
    return ScheduledEvent(
        event_id=id_of(uri),
        uri=uri,
        name=fields.text("name"),
        event_type_id=id_of(event_type_uri) if event_type_uri else None,
        event_type_uri=event_type_uri or None,
        start=start,
        end=end,
        cancelled=cancelled,
        cancellation=_cancellation(fields) if cancelled else None,
        location=_texts(fields.inner("location"), LOCATION_KEYS, LONG_TEXT),
        active_invitees=fields.inner("invitees_counter").count("active"),
    )


def _cancellation(fields: Fields) -> Cancellation:
    told = fields.inner("cancellation")
    return Cancellation(
        at=told.moment("created_at"),
        by=told.text("canceled_by"),
        canceler_type=told.text("canceler_type"),
        reason=told.text("reason", LONG_TEXT),
    )


def _texts(fields: Fields, keys: tuple[str, ...], bound: int = SHORT_TEXT) -> dict[str, str]:
    """Those of the texts that are there and not empty."""
    return {key: text for key in keys if (text := fields.text(key, bound))}


def _event_uri(invitee_uri: str) -> str:
    """The address of the scheduled event, cut from the one of its invitee."""
    return invitee_uri.rpartition("/invitees/")[0]


def _linked(invitee_uri: str) -> tuple[str | None, str | None]:
    """Event id and invitee id of the other end of a reschedule, or two None."""
    # Calendly's own sample of a webhook has `http://example.com` here: an address without a path names nobody.
    if not invitee_uri or _NO_PATH.fullmatch(invitee_uri):
        return None, None
    return event_and_invitee_ids(invitee_uri)


def _flow_id(tracking: dict[str, str]) -> str | None:
    """Our flow's id as it travelled along (DESIGN 6.2). It links, it does not authorise."""
    content = tracking.get("utm_content", "")
    return tracking.get("booking_flow_id") or (content if content.startswith(FLOW_ID_PREFIX) else None)
