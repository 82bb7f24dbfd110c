"""What tells one delivery from another (LIFECYCLE 3, "delivery received")."""

import hashlib
import re
from typing import Any

from bookings.invitees import CalendlyNews, NotAnInvitee, RetiredShape, UnknownShape, parse_webhook

STRIPE_EVENT_ID = re.compile(r"[A-Za-z0-9_]{1,255}")
LONGEST_NAME = 100


def digest(body: bytes) -> str:
    """For a delivery that says nothing better: the same bytes are the same delivery."""
    return hashlib.sha256(body).hexdigest()


def stripe_delivery(event: dict[str, Any], body: bytes) -> tuple[str, str]:
    """The event's type and id."""
    name, event_id = event.get("type"), event.get("id")
    known = isinstance(event_id, str) and STRIPE_EVENT_ID.fullmatch(event_id)
    return _short(name), event_id if known and isinstance(event_id, str) else digest(body)


def calendly_delivery(body: dict[str, Any], raw: bytes) -> tuple[str, str]:
    """Calendly sends no id: the event's name, the invitee, and when it was cancelled (of a no-show: when said)."""
    try:
        news = parse_webhook(body)
    except (UnknownShape, RetiredShape, NotAnInvitee):
        return _short(body.get("event")), digest(raw)
    return _short(news.name), f"{news.name[:LONGEST_NAME]}/{news.invitee.invitee_id}/{_moment(news)}"


def _moment(news: CalendlyNews) -> str:
    cancellation = news.invitee.cancellation
    moment = news.occurred_at if news.name.startswith("invitee_no_show.") else cancellation and cancellation.at
    return moment.isoformat() if moment else ""


def _short(name: object) -> str:
    return name[:LONGEST_NAME] if isinstance(name, str) else ""
