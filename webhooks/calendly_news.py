"""What a delivery of Calendly's says, recorded in the flow that it is about."""

from api.json import WEBHOOK_MAX_BYTES, WEBHOOK_MAX_DEPTH, UnstorableText, strict_loads
from bookings.invitees import NotAnInvitee, RetiredShape, UnknownShape, parse_webhook
from bookings.locked import Cause
from payments.placing import NotOurs, place
from webhooks.inbox import Ignored, Parked
from webhooks.models import Delivery


def read_calendly(delivery: Delivery) -> str:
    """Record the invitee; returns the flow's id, or "" while it is unplaced. May read back what the news lacked."""
    try:
        news = parse_webhook(
            strict_loads(bytes(delivery.body), max_bytes=WEBHOOK_MAX_BYTES, max_depth=WEBHOOK_MAX_DEPTH)
        )
    except UnstorableText as error:
        raise Parked(error.message) from error
    except UnknownShape as error:
        raise Parked(f"Not understood: {error}") from error
    except RetiredShape as error:
        raise Ignored("Calendly's API v1, which is switched off") from error
    except NotAnInvitee as error:
        raise Ignored("Not about an invitee") from error
    try:
        return place(news.invitee, Cause.delivery("calendly", delivery.id), no_show_at=news.occurred_at)
    except NotOurs as error:
        raise Ignored(str(error)) from error
