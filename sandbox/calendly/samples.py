"""The made-up webhook bodies of `GET /sample_webhook_data`."""

from datetime import datetime, timedelta
from uuid import uuid4

from sandbox.calendly import resources
from sandbox.calendly.ledger import News
from sandbox.calendly.letters import Shape, letter
from sandbox.calendly.people import EVENT_TYPES, ME, Guest
from sandbox.calendly.resources import stamp
from sandbox.state import Json

SAMPLES = ("invitee.created", "invitee.canceled", "invitee_no_show.created", "invitee_no_show.deleted")


def sample(name: str, base: str, now: datetime) -> Json:
    """A body of this kind about a booking that does not exist. The real ones too look like bookings of the account."""
    kind, event_id, at = next(iter(EVENT_TYPES.values())), str(uuid4()), stamp(now)
    guest = Guest("Casey Client", "casey@example.com", ME.timezone)
    event = resources.new_scheduled_event(event_id, kind, now + timedelta(days=1), now)
    invitee = resources.new_invitee(str(uuid4()), event_id, guest, now)
    if name == "invitee.canceled":
        cancellation = {"canceled_by": ME.name, "reason": None, "canceler_type": "host", "created_at": at}
        for ended in (event, invitee):
            ended |= {"status": "canceled", "cancellation": cancellation}
    if name == "invitee_no_show.created":
        invitee["no_show"] = {"uri": f"/invitee_no_shows/{uuid4()}", "created_at": at}
    return letter(Shape.V2, base, at, News(name, invitee, event))
