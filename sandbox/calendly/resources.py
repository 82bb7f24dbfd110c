"""Calendly's JSON objects (developer.calendly.com/api-docs, API v2), as the sandbox keeps them.

A kept object is the answer of the REST call, except that its URIs are paths: `absolute` puts an origin before them.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.calendly.people import FOUNDED, ORGANIZATION, EventType, Guest, Host
from sandbox.state import Json

TRACKING_KEYS = ("utm_campaign", "utm_source", "utm_medium", "utm_content", "utm_term", "salesforce_uuid")
"""What Calendly keeps of a scheduling page's query string. There are never more keys, nor fewer."""

_URI_KEYS = {
    "uri",
    "event",
    "event_type",
    "user",
    "owner",
    "creator",
    "organization",
    "current_organization",
    "invitee",
    "old_invitee",
    "new_invitee",
    "cancel_url",
    "reschedule_url",
    "scheduling_url",
    "join_url",
}


def absolute(base: str, kept: Any) -> Any:
    """A kept object as it is answered to somebody who asked under `base`."""
    if isinstance(kept, dict):
        return {
            key: base + value if key in _URI_KEYS and isinstance(value, str) else absolute(base, value)
            for key, value in kept.items()
        }
    if isinstance(kept, list):
        return [absolute(base, each) for each in kept]
    return kept


def stamp(moment: datetime) -> str:
    """Calendly's form of a time: UTC, always with microseconds. Stamps sort as the times do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: str) -> datetime:
    """The time that a stamp, or any ISO 8601 text, means; UTC unless it says otherwise.

    Raises ValueError, also for times so far away that one cannot reckon with them.
    """
    parsed = datetime.fromisoformat(text)
    if not 2000 <= parsed.year < 3000:
        raise ValueError(f"nobody meets in {parsed.year}")
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def id_of(uri: str) -> str:
    """The last segment, which is all that identifies an object."""
    return uri.rstrip("/").rpartition("/")[2]


def organization_path() -> str:
    return f"/organizations/{ORGANIZATION}"


def user_path(host: Host) -> str:
    return f"/users/{host.id}"


def user(host: Host) -> Json:
    return {
        "uri": user_path(host),
        "name": host.name,
        "slug": host.slug,
        "email": host.email,
        "scheduling_url": f"/{host.slug}",
        "timezone": host.timezone,
        "time_notation": "24h",
        "avatar_url": None,
        "created_at": stamp(FOUNDED),
        "updated_at": stamp(FOUNDED),
        "current_organization": organization_path(),
        "locale": "en",
        "resource_type": "User",
    }


def event_type(kind: EventType) -> Json:
    where = dict(kind.location)
    # An event type names its places by `kind`, and calls Zoom otherwise than a scheduled event does.
    place = where.pop("type")
    return {
        "uri": f"/event_types/{kind.id}",
        "name": kind.name,
        "active": True,
        "slug": kind.slug,
        "scheduling_url": kind.path,
        "duration": kind.minutes,
        "duration_options": None,
        "kind": "solo",
        "pooling_type": None,
        "type": "StandardEventType",
        "is_paid": False,
        "color": kind.color,
        "created_at": stamp(FOUNDED),
        "updated_at": stamp(FOUNDED),
        "internal_note": None,
        "description_plain": kind.description,
        "description_html": f"<p>{kind.description}</p>",
        "profile": {"type": "User", "name": kind.host.name, "owner": user_path(kind.host)},
        "secret": False,
        "booking_method": "instant",
        "custom_questions": [
            {
                "name": question.name,
                "type": question.type,
                "position": position,
                "enabled": True,
                "required": False,
                "answer_choices": list(question.choices),
                "include_other": False,
            }
            for position, question in enumerate(kind.questions)
        ],
        "deleted_at": None,
        "admin_managed": False,
        "locations": [{"kind": "zoom_conference" if place == "zoom" else place, **where}],
        "position": 0,
        "locale": "en",
    }


def new_scheduled_event(event_id: str, kind: EventType, start: datetime, now: datetime) -> Json:
    """A meeting with its one invitee: there are only solo event types here."""
    end = start + timedelta(minutes=kind.minutes)
    membership = {
        "user": user_path(kind.host),
        "user_email": kind.host.email,
        "user_name": kind.host.name,
        "buffered_start_time": stamp(start),
        "buffered_end_time": stamp(end),
    }
    return {
        "uri": f"/scheduled_events/{event_id}",
        "name": kind.name,
        "meeting_notes_plain": None,
        "meeting_notes_html": None,
        "status": "active",
        "start_time": stamp(start),
        "end_time": stamp(end),
        "event_type": f"/event_types/{kind.id}",
        "location": _location(kind, event_id),
        "invitees_counter": {"total": 1, "active": 1, "limit": 1},
        "created_at": stamp(now),
        "updated_at": stamp(now),
        "event_memberships": [membership],
        "event_guests": [],
        "calendar_event": {"kind": "google", "external_id": event_id.replace("-", "")},
    }


def new_invitee(invitee_id: str, event_id: str, guest: Guest, now: datetime) -> Json:
    """A booking of a guest. `cancellation` is not there until it is cancelled."""
    return {
        "uri": f"/scheduled_events/{event_id}/invitees/{invitee_id}",
        "email": guest.email,
        "first_name": None,
        "last_name": None,
        "name": guest.name,
        "status": "active",
        "questions_and_answers": [
            {"question": question, "answer": answer, "position": position}
            for position, (question, answer) in enumerate(guest.answers)
            if answer
        ],
        "timezone": guest.timezone,
        "event": f"/scheduled_events/{event_id}",
        "created_at": stamp(now),
        "updated_at": stamp(now),
        "tracking": {key: guest.tracking.get(key) or None for key in TRACKING_KEYS},
        "text_reminder_number": guest.phone or None,
        "rescheduled": False,
        "old_invitee": None,
        "new_invitee": None,
        "cancel_url": f"/cancellations/{invitee_id}",
        "reschedule_url": f"/reschedulings/{invitee_id}",
        "routing_form_submission": None,
        "payment": None,
        "no_show": None,
        "reconfirmation": None,
        "scheduling_method": None,
        "invitee_scheduled_by": None,
    }


def _location(kind: EventType, event_id: str) -> Json:
    if kind.location["type"] == "google_conference":
        return {**kind.location, "status": "pushed", "join_url": f"/events/{event_id}/google_meet"}
    if kind.location["type"] == "zoom":
        meeting = {"id": int(event_id[:8], 16), "settings": {}, "extra": None, "password": "sandbox"}
        return {
            **kind.location,
            "status": "pushed",
            "join_url": f"/events/{event_id}/zoom?pwd=sandbox",
            "data": meeting,
        }
    return dict(kind.location)
