"""What a program is told of a booking, by the pages and by the control room alike."""

from sandbox.calendly.ledger import Ledger
from sandbox.calendly.resources import id_of
from sandbox.state import Json


def summary(ledger: Ledger, invitee: Json, base: str) -> Json:
    """The two URIs that `calendly.event_scheduled` has, their ids, and the links that the guest is mailed."""
    event = ledger.event_of(invitee)
    return {
        "event_uri": base + event["uri"],
        "event_id": id_of(event["uri"]),
        "invitee_uri": base + invitee["uri"],
        "invitee_id": id_of(invitee["uri"]),
        "status": invitee["status"],
        "start_time": event["start_time"],
        "end_time": event["end_time"],
        "cancel_url": base + invitee["cancel_url"],
        "reschedule_url": base + invitee["reschedule_url"],
    }
