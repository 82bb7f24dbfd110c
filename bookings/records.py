"""Writing down what Calendly and the client said about a booking. These merge facts and decide nothing (LIFECYCLE 3).

Saying a thing twice, or after another, ends the same. All take the locked flow.
"""

from datetime import datetime

from bookings.invitees import Cancellation, Invitee, ScheduledEvent
from bookings.locked import LockedFlow, values
from bookings.models import Booking, RescheduleEdge


def record_invitee(flow: LockedFlow, invitee: Invitee) -> Booking:
    """Calendly says that this invitee exists, with its event, its cancellation and its reschedules.

    The first report of a booking wins; later ones fill what it lacked. An unseen booking of the flow, of which only
    store-event spoke, becomes this invitee's (R1).
    """
    booking = flow.booking_of(invitee.invitee_id)
    if booking is None:
        booking = flow.unseen
        if booking is None:
            booking = Booking(flow=flow.row, created_at=flow.now)
            flow.bookings.append(booking)
        booking.invitee_id, booking.event_id = invitee.invitee_id, invitee.event_id
        _fill(booking, invitee)
        flow.save(booking, f"Calendly: {invitee.name or 'the invitee'} is booked")
    elif _fill(booking, invitee):
        flow.save(booking, "Calendly: more is known of the invitee")
    if invitee.old_invitee_id:
        record_reschedule(flow, invitee.old_invitee_id, invitee.invitee_id)
    if invitee.new_invitee_id:
        record_reschedule(flow, invitee.invitee_id, invitee.new_invitee_id)
    if invitee.cancellation:
        _record_cancelled(flow, booking, invitee.cancellation, rescheduled=invitee.rescheduled)
    _note_left(flow)
    return booking


def _fill(booking: Booking, invitee: Invitee) -> bool:
    """Take over what the booking lacks; whether anything was new."""
    event = invitee.scheduled_event
    told = {
        "name": invitee.name[:255],
        "email": invitee.email[:255],
        "time_zone": invitee.timezone[:64],
        "phone": invitee.phone[:64],
        "answers": [list(answer) for answer in invitee.answers],
        "tracking": invitee.tracking,
        "invitee_created_at": invitee.created_at,
    }
    if event:
        told |= {
            "event_type_id": event.event_type_id,
            "start": event.start,
            "end": event.end,
            "location": event.location,
        }
    new = False
    for name, value in told.items():
        known = getattr(booking, name)
        # Of several answers in one (a location, the tracking) each is taken when it is first given.
        value = {**value, **known} if isinstance(value, dict) else known or value
        if value and value != known:
            setattr(booking, name, value)
            new = True
    shared = bool(event and event.active_invitees and event.active_invitees > 1)
    if shared and not booking.shared:
        booking.shared = new = True
    return new


def _record_cancelled(flow: LockedFlow, booking: Booking, cancellation: Cancellation, *, rescheduled: bool) -> None:
    """Cancelled once is cancelled for ever. A reschedule reports the old invitee in the same way (B1, B2)."""
    if rescheduled and not booking.rescheduled:
        booking.rescheduled = True
        flow.save(booking, "Calendly: the booking was rescheduled")
    first, known = booking.cancelled_at is None, values(booking)
    booking.cancelled_at = booking.cancelled_at or cancellation.at or flow.now
    booking.cancelled_by = booking.cancelled_by or cancellation.by[:255]
    booking.canceler_type = booking.canceler_type or cancellation.canceler_type[:20]
    booking.cancel_reason = booking.cancel_reason or cancellation.reason
    if known != values(booking):
        who = booking.cancelled_by or booking.canceler_type or "somebody"
        flow.save(booking, f"Calendly: cancelled by {who}" if first else "Calendly: more is known of the cancellation")


def record_reschedule(flow: LockedFlow, old_invitee_id: str, new_invitee_id: str) -> None:
    """One invitee gave way to another; either end may name the other, in any order."""
    known = {(edge.old_invitee_id, edge.new_invitee_id) for edge in flow.edges}
    if old_invitee_id == new_invitee_id or (old_invitee_id, new_invitee_id) in known:
        return
    edge = RescheduleEdge(flow=flow.row, old_invitee_id=old_invitee_id, new_invitee_id=new_invitee_id)
    flow.edges.append(edge)
    flow.save(edge, "Calendly: one booking followed another")


def _note_left(flow: LockedFlow) -> None:
    """Keep when we first heard that a booking was given up; the wait for its successor counts from there."""
    old_ids = {edge.old_invitee_id for edge in flow.edges}
    for booking in flow.bookings:
        if booking.left_at is None and (booking.cancelled_at or booking.rescheduled or booking.invitee_id in old_ids):
            booking.left_at = flow.now
            flow.save(booking)


def record_no_show(flow: LockedFlow, invitee_id: str, *, no_show: bool, at: datetime) -> None:
    """The host says that the invitee did not come, or takes it back; the latest by Calendly's clock counts."""
    booking = flow.booking_of(invitee_id)
    if booking and (booking.no_show_at is None or at > booking.no_show_at):
        booking.no_show, booking.no_show_at = no_show, at
        flow.save(booking, "Calendly: the client did not come" if no_show else "Calendly: the no-show was taken back")


def record_event(flow: LockedFlow, event: ScheduledEvent) -> None:
    """What reading the scheduled event itself showed: how many invitees it has."""
    for booking in flow.bookings:
        shared = bool(event.active_invitees and event.active_invitees > 1)
        if booking.event_id == event.event_id and booking.shared != shared:
            booking.shared = shared
            flow.save(booking)


def record_gone(flow: LockedFlow, event_id: str) -> None:
    """Calendly knows no such scheduled event any more."""
    for booking in flow.bookings:
        if booking.event_id == event_id and not booking.gone:
            booking.gone = True
            flow.save(booking, "Calendly: the scheduled event is gone")


def record_claim(flow: LockedFlow, *, event_id: str, invitee_id: str, start: datetime | None) -> Booking:
    """The client says that she booked this (store-event). Trusted for nothing but where to look (DESIGN 6.3)."""
    booking = flow.booking_of(invitee_id) or flow.unseen
    if booking is None:
        booking = Booking(flow=flow.row, created_at=flow.now)
        flow.bookings.append(booking)
    claim = (event_id, invitee_id, start or booking.claimed_start)
    if claim != (booking.claimed_event_id, booking.claimed_invitee_id, booking.claimed_start):
        booking.claimed_event_id, booking.claimed_invitee_id, booking.claimed_start = claim
        flow.save(booking, "The client says that the slot is booked")
    return booking


def record_client_words(flow: LockedFlow, *, phone: str, notes: str) -> None:
    """Phone and notes as the client gave them at store-event; shown where Calendly has none."""
    if (phone and phone != flow.row.client_phone) or (notes and notes != flow.row.client_notes):
        flow.row.client_phone = phone or flow.row.client_phone
        flow.row.client_notes = notes or flow.row.client_notes
        flow.save(flow.row)
