"""Calendly's side: scheduled events, and the invitees of those that say something else than we hold."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial

from django.db.models import Q
from django.utils import timezone

from api.calling import Refused, patiently
from bookings import calendly_api
from bookings.invitees import Invitee, ScheduledEvent
from bookings.locked import Cause
from bookings.models import Booking, SessionType, UnplacedInvitee
from bookings.records import record_gone, record_invitee
from operations.reconciling.findings import MOST_HELD, Findings
from payments import placing

CAUSE = Cause("clock", "calendly", "reconcile")


def reconcile_calendly(findings: Findings, since: datetime, until: datetime | None = None) -> None:
    """Read the scheduled events that start in this time; only those that say something new cost a further call."""
    with findings.provider("Calendly"):
        held = _held_events(since, until)
        mapped = set(SessionType.objects.values_list("event_type_id", flat=True))
        for event in calendly_api.list_scheduled_events(since, until):
            findings.looked_at += 1
            known = event.event_id in held
            all_cancelled = held.pop(event.event_id, None)
            if all_cancelled is not event.cancelled and (known or event.event_type_id in mapped):
                with findings.each(f"scheduled event {event.event_id}"):
                    _read_invitees(findings, event)
        now = timezone.now()
        not_shown = [event_id for event_id, all_cancelled in held.items() if not all_cancelled]
        coming = Booking.objects.filter(event_id__in=not_shown, start__gt=now, cancelled_at=None, gone=False)
        _read_bookings(findings, coming.order_by("start")[:MOST_HELD])


def reconcile_calendly_flow(findings: Findings, flow_id: str) -> None:
    """Read every booking of a flow, also the one that only store-event spoke of, and their successors."""
    with findings.provider("Calendly"):
        _read_bookings(findings, Booking.objects.filter(flow=flow_id, gone=False).order_by("created_at", "id"))


def _held_events(since: datetime, until: datetime | None) -> dict[str, bool]:
    """The scheduled events that we hold in this time: whether all our bookings of it are cancelled."""
    when = Q(start__gte=since, start__lte=until) if until else Q(start__gte=since)
    held: dict[str, bool] = {}
    rows = Booking.objects.filter(when).exclude(event_id="").values_list("event_id", "cancelled_at")
    for event_id, cancelled_at in rows.iterator():
        held[event_id] = held.get(event_id, True) and cancelled_at is not None
    return held


def _read_invitees(findings: Findings, event: ScheduledEvent) -> None:
    for invitee in patiently(partial(calendly_api.list_invitees, event.event_id)):
        _record(findings, replace(invitee, scheduled_event=event))


def _read_bookings(findings: Findings, bookings: Iterable[Booking]) -> None:
    """Read what we hold by its id. A 404 is an answer, too; it ends nothing by itself (LIFECYCLE 5)."""
    for booking in bookings:
        event_id = booking.event_id or booking.claimed_event_id
        invitee_id = booking.invitee_id or booking.claimed_invitee_id
        about = f"invitee {invitee_id}"
        findings.looked_at += 1
        with findings.each(about):
            try:
                invitee = patiently(partial(calendly_api.get_invitee, event_id, invitee_id))
            except Refused as refusal:
                if refusal.status != 404:
                    raise
                findings.leave(about, f"Calendly does not know it; booking {booking.id}")
                with findings.hearing(about, booking.flow_id, CAUSE) as flow:
                    record_gone(flow, event_id)
            else:
                _record(findings, invitee)


def _record(findings: Findings, invitee: Invitee) -> None:
    """Record an invitee and, as far as we do not know them, those to whom it was rescheduled."""
    for _ in range(placing.LONGEST_CHAIN):
        _record_one(findings, invitee)
        new_event_id, new_invitee_id = invitee.new_event_id, invitee.new_invitee_id
        if not (new_event_id and new_invitee_id) or Booking.objects.filter(invitee_id=new_invitee_id).exists():
            return
        findings.looked_at += 1
        invitee = patiently(partial(calendly_api.get_invitee, new_event_id, new_invitee_id))


def _record_one(findings: Findings, invitee: Invitee) -> None:
    about = f"invitee {invitee.invitee_id}"
    flow_id = Booking.objects.filter(invitee_id=invitee.invitee_id).values_list("flow_id", flat=True).first()
    if flow_id:
        with findings.hearing(about, flow_id, CAUSE) as flow:
            record_invitee(flow, invitee)
        return
    try:
        flow_id = patiently(partial(placing.place, invitee, CAUSE))
    except placing.NotOurs:
        return
    flow_id = flow_id or _placed_again(invitee)
    if flow_id:
        findings.was_new(about, flow_id, "it was not known")
    elif UnplacedInvitee.objects.filter(pk=invitee.invitee_id).exists():
        findings.leave(about, "its flow is not known yet")


def _placed_again(invitee: Invitee) -> str:
    """Place what was kept unplaced, by the invitees before it or, if store-event had its time, without more patience.

    The flow's id, or "" while it stays unplaced or if it is none of ours.
    """
    patience_ends = (invitee.created_at or timezone.now()) + placing.PATIENCE
    if invitee.old_invitee_id or timezone.now() >= patience_ends:
        patiently(partial(placing.place_again, invitee.invitee_id))
    placed = Booking.objects.filter(invitee_id=invitee.invitee_id).values_list("flow_id", flat=True)
    return placed.first() or ""
