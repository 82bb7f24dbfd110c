"""store-event: the client says that she has a slot, and Calendly is asked whether it is so (DESIGN 6.3; R1 to R4)."""

from dataclasses import replace
from datetime import datetime

from django.db import IntegrityError

from api.calling import Deadline, Refused, Unavailable, Unknown
from api.errors import BookingConflict, CalendlyApiError, InvalidRequest
from bookings import calendly_api
from bookings.attention import raise_attention
from bookings.facts import AttentionKind, Verdict
from bookings.invitees import Invitee, event_and_invitee_ids, id_of
from bookings.locked import Cause, LockedFlow
from bookings.models import Booking, BookingFlow
from bookings.records import record_claim, record_client_words, record_invitee
from payments.settlement import settle, settled_flow

SECONDS_FOR_CALENDLY = 2.0


def store_event(
    flow_id: str,
    cause: Cause,
    *,
    event_uri: str,
    invitee_uri: str,
    start: datetime | None,
    phone: str,
    notes: str,
) -> tuple[Booking, Verdict]:
    """Record what the client says, and what Calendly says of it if it answers in time.

    Raises InvalidRequest for addresses that are none, BookingConflict for an invitee that is somebody else's or for a
    second booking of the flow, CalendlyApiError if Calendly does not know our token.
    """
    event_id, invitee_id = _ids(event_uri, invitee_uri)
    invitee = _ask_calendly(event_id, invitee_id, flow_id)
    try:
        with settled_flow(flow_id, cause) as flow:
            _check_conflict(flow, invitee_id, invitee)
            record_client_words(flow, phone=phone, notes=notes)
            if invitee:
                booking = record_invitee(flow, invitee)
            else:
                booking = _standing(flow) or record_claim(flow, event_id=event_id, invitee_id=invitee_id, start=start)
            return booking, settle(flow)
    except IntegrityError:
        # Somebody recorded the invitee in another flow, under another lock than ours, after we had looked.
        if not _is_taken(invitee_id, flow_id):
            raise
        raise _taken() from None


def _ids(event_uri: str, invitee_uri: str) -> tuple[str, str]:
    """The ids in the two addresses. Hosts are ignored: the ids are put on our configured base."""
    try:
        event_id, invitee_id = event_and_invitee_ids(invitee_uri)
    except ValueError:
        raise InvalidRequest(details={"fields": {"calendlyInviteeUri": ["Not an invitee of Calendly's."]}}) from None
    try:
        same = id_of(event_uri) == event_id
    except ValueError:
        same = False
    if not same:
        raise InvalidRequest(details={"fields": {"calendlyEventUri": ["Not the scheduled event of this invitee."]}})
    return event_id, invitee_id


def _ask_calendly(event_id: str, invitee_id: str, flow_id: str) -> Invitee | None:
    """The invitee with its scheduled event, as Calendly tells it; None while it says nothing that can be used."""
    deadline = Deadline(SECONDS_FOR_CALENDLY)
    try:
        event = calendly_api.get_scheduled_event(event_id, deadline=deadline)
        invitee = calendly_api.get_invitee(event_id, invitee_id, deadline=deadline)
    except (Unavailable, Unknown):
        return None
    except Refused as refusal:
        if refusal.status == 401:
            raise CalendlyApiError from refusal
        if refusal.status == 403:
            raise_attention(
                AttentionKind.PROVIDER_FORBIDDEN, flow_id, text="Calendly does not let us read it", flow_id=flow_id
            )
        return None
    complete = event.event_type_id and event.start and event.end and invitee.created_at
    return replace(invitee, scheduled_event=event) if complete else None


def _check_conflict(flow: LockedFlow, invitee_id: str, invitee: Invitee | None) -> None:
    if _is_taken(invitee_id, flow.id):
        raise _taken()
    if invitee is None or flow.booking_of(invitee_id):
        return
    known = {booking.invitee_id for booking in flow.bookings if booking.invitee_id}
    if invitee.flow_id and invitee.flow_id != flow.id and BookingFlow.objects.filter(pk=invitee.flow_id).exists():
        raise _taken()
    event_type_id = invitee.scheduled_event.event_type_id if invitee.scheduled_event else None
    if not known and event_type_id != flow.row.session_type.event_type_id:
        raise BookingConflict("This slot is of another kind of session.", details={"reason": "other session type"})
    if known and invitee.old_invitee_id not in known:
        standing = _standing(flow)
        details = {"reason": "booked already", "bookingId": standing.id if standing else None}
        raise BookingConflict("This flow has a booking already.", details=details)


def _is_taken(invitee_id: str, flow_id: str) -> bool:
    return Booking.objects.filter(invitee_id=invitee_id).exclude(flow=flow_id).exists()


def _taken() -> BookingConflict:
    return BookingConflict("This slot belongs to another booking.", details={"reason": "taken"})


def _standing(flow: LockedFlow) -> Booking | None:
    """The newest seen booking of the flow, if there is one."""
    seen = [booking for booking in flow.bookings if booking.invitee_id]
    return max(seen, key=lambda booking: (booking.created_at, booking.id), default=None)
