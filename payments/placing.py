"""Finding the flow that news of an invitee belongs to (DESIGN 6.2; LIFECYCLE R1, R19, R38, R40).

In this order: its booking or its neighbours in a reschedule; the flow id in its tracking; what store-event said; an
unplaced invitee waits a little, then the one pending flow of the same client; else it is a flow of its own.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from api.calling import Refused
from bookings import calendly_api
from bookings.attention import close_attention, raise_attention
from bookings.facts import AttentionKind
from bookings.flows import begin_flow
from bookings.invitees import Invitee
from bookings.locked import Cause, LockedFlow
from bookings.models import Booking, BookingFlow, Client, RescheduleEdge, SessionType, UnplacedInvitee
from bookings.records import record_invitee, record_no_show
from payments.settlement import settled_flow

PATIENCE = timedelta(minutes=2)
"""How long an invitee without a flow id waits for store-event to say whose it is."""
OVERDUE = timedelta(minutes=10)
"""After which a person looks at an invitee that could not be placed."""
READ_PAUSE, LONGEST_READ_PAUSE = timedelta(minutes=1), timedelta(hours=1)
LONGEST_CHAIN = 50
"""Reschedules that are followed back in one go."""


class NotOurs(Exception):
    """The event type is not mapped, or was booked before it was: none of our business."""


class _BelongsElsewhere(Exception):
    """The flow that was named has a booking already, and this invitee is no reschedule of it (R38)."""


def place(invitee: Invitee, cause: Cause, *, no_show_at: datetime | None = None) -> str:
    """Record an invitee, complete it first where the news lacked something, and return its flow's id.

    "" means that it was kept unplaced. `no_show_at` is Calendly's time of no-show news. Raises NotOurs, and what
    `bookings.calendly_api` raises.
    """
    invitee = completed(invitee)
    known_flow = _flow_of_chain(invitee)
    if known_flow:
        return _record(known_flow, invitee, cause, no_show_at=no_show_at)
    session_type = _session_type(invitee)
    if session_type is None and invitee.old_invitee_id is None:
        raise NotOurs("the event type is not mapped")
    for flow_id in _offered_flows(invitee, session_type):
        try:
            return _record(flow_id, invitee, cause, no_show_at=no_show_at, first=True)
        except _BelongsElsewhere:
            if (read := _first_of_chain(flow_id, invitee)) is not None:
                return _record(flow_id, read, cause, no_show_at=no_show_at)
            with transaction.atomic():
                return _record(_own_flow(flow_id, invitee), invitee, cause, no_show_at=no_show_at)
    _keep_unplaced(invitee)
    return ""


def completed(invitee: Invitee) -> Invitee:
    """The invitee with its event type, start, end and the facts of its cancellation, read where they were not said."""
    event, cancellation = invitee.scheduled_event, invitee.cancellation
    if invitee.created_at is None or (cancellation and not (cancellation.at and cancellation.canceler_type)):
        read = calendly_api.get_invitee(invitee.event_id, invitee.invitee_id)
        invitee = replace(
            read,
            flow_id=read.flow_id or invitee.flow_id,
            cancellation=read.cancellation or cancellation,
            rescheduled=read.rescheduled or invitee.rescheduled,
            no_show=invitee.no_show,
            scheduled_event=event,
        )
    if event is None or event.event_type_id is None or event.start is None or event.end is None:
        invitee = replace(invitee, scheduled_event=calendly_api.get_scheduled_event(invitee.event_id))
    return invitee


def _flow_of_chain(invitee: Invitee) -> str | None:
    """The flow in which this invitee, or one before or after it in a reschedule, is known."""
    chain = [one for one in (invitee.invitee_id, invitee.old_invitee_id, invitee.new_invitee_id) if one]
    found = Booking.objects.filter(invitee_id__in=chain).values_list("flow_id", flat=True).first()
    if found is None:
        named = Q(new_invitee_id=invitee.invitee_id) | Q(old_invitee_id=invitee.invitee_id)
        found = RescheduleEdge.objects.filter(named).values_list("flow_id", flat=True).first()
    return found


def _session_type(invitee: Invitee) -> SessionType | None:
    event_type_id = invitee.scheduled_event.event_type_id if invitee.scheduled_event else None
    return SessionType.objects.select_related("policy").filter(event_type_id=event_type_id or "").first()


def _offered_flows(invitee: Invitee, session_type: SessionType | None) -> list[str]:
    """The flow that the tracking names, or else that store-event named; the event type must agree."""
    if session_type is None:
        return []
    flows = BookingFlow.objects.filter(session_type=session_type)
    if invitee.flow_id and flows.filter(pk=invitee.flow_id).exists():
        return [invitee.flow_id]
    claims = flows.filter(bookings__invitee_id=None, bookings__claimed_invitee_id=invitee.invitee_id)
    claimed = list(claims.values_list("pk", flat=True)[:2])
    return claimed if len(claimed) == 1 else []


def _record(
    flow_id: str, invitee: Invitee, cause: Cause, *, no_show_at: datetime | None = None, first: bool = False
) -> str:
    with settled_flow(flow_id, cause) as flow:
        if first and not _may_join(flow, invitee):
            raise _BelongsElsewhere
        record_invitee(flow, invitee)
        if invitee.no_show is not None and no_show_at:
            record_no_show(flow, invitee.invitee_id, no_show=invitee.no_show, at=no_show_at)
    return flow_id


def _may_join(flow: LockedFlow, invitee: Invitee) -> bool:
    seen = {booking.invitee_id for booking in flow.bookings if booking.invitee_id}
    return not seen or invitee.invitee_id in seen or invitee.old_invitee_id is not None


def _first_of_chain(flow_id: str, invitee: Invitee) -> Invitee | None:
    """The invitee read anew, if a reschedule led from it to one that the flow knows: the news of it was older (R18)."""
    seen = Booking.objects.filter(flow=flow_id).exclude(invitee_id=None).values("invitee_id")
    if not RescheduleEdge.objects.filter(flow=flow_id).exclude(old_invitee_id__in=seen).exists():
        return None  # nobody is missing there
    ahead = first = calendly_api.get_invitee(invitee.event_id, invitee.invitee_id)
    for _ in range(LONGEST_CHAIN):
        if _flow_of_chain(ahead) == flow_id:
            return replace(first, scheduled_event=invitee.scheduled_event)
        if not (ahead.new_event_id and ahead.new_invitee_id):
            break
        ahead = calendly_api.get_invitee(ahead.new_event_id, ahead.new_invitee_id)
    return None


def _own_flow(first_flow_id: str, invitee: Invitee) -> str:
    """The same scheduling link was used twice (R38): today's snapshot, the same client if the e-mail is."""
    first = BookingFlow.objects.select_related("client", "session_type__policy").get(pk=first_flow_id)
    same = {booking.email.lower() for booking in first.bookings.exclude(email="")}
    if first.client and first.client.email:
        same.add(first.client.email.lower())
    if first.client and invitee.email.lower() in same:
        return begin_flow(first.session_type, first.client, now=timezone.now()).id
    return _direct_flow(invitee, first.session_type)


def _direct_flow(invitee: Invitee, session_type: SessionType) -> str:
    """Booked on Calendly without us (R40). There is no sign-up, so the address of an account is a verified one."""
    if invitee.created_at and invitee.created_at < session_type.active_since:
        raise NotOurs("it was booked before the session type was ours")
    clients = (
        list(Client.objects.filter(email=invitee.email.lower(), user__is_active=True)[:2]) if invitee.email else []
    )
    client = clients[0] if len(clients) == 1 else None
    return begin_flow(session_type, client, now=timezone.now(), direct=True).id


def _keep_unplaced(invitee: Invitee) -> None:
    now = timezone.now()
    # Those before it in a reschedule are read back at once; a first one waits for store-event.
    wait = timedelta(0) if invitee.old_invitee_id else PATIENCE
    UnplacedInvitee.objects.update_or_create(
        pk=invitee.invitee_id,
        defaults={"next_at": now + wait, "attempts": 0},
        create_defaults={"event_id": invitee.event_id, "first_heard_at": now, "next_at": now + wait},
    )


def due_unplaced(now: datetime, limit: int) -> list[str]:
    """Unplaced invitees whose time has come."""
    return list(
        UnplacedInvitee.objects.filter(next_at__lte=now).order_by("next_at").values_list("pk", flat=True)[:limit]
    )


def place_again(invitee_id: str) -> None:
    """Read an unplaced invitee and those before it back from Calendly, and place them from the first one on."""
    row = UnplacedInvitee.objects.filter(pk=invitee_id).first()
    if row is None:
        return
    row.attempts += 1
    now, overdue_at = timezone.now(), row.first_heard_at + OVERDUE
    row.next_at = now + min(READ_PAUSE * 2 ** min(row.attempts, 10), LONGEST_READ_PAUSE)
    if now < overdue_at:
        row.next_at = min(row.next_at, overdue_at)  # that is when somebody must be told
    row.save()
    if now >= overdue_at:
        raise_attention(AttentionKind.UNPLACED_INVITEE, invitee_id, text="Its flow is not known")
    for invitee in _read_chain(row.event_id, invitee_id):
        _place_now(completed(invitee))
    # Only now, and not when other news of it is placed: what was told here, a cancellation say, is kept nowhere else.
    # Nor if more was told since we read it, which began the attempts anew.
    UnplacedInvitee.objects.filter(pk=invitee_id, attempts=row.attempts).delete()
    close_attention(AttentionKind.UNPLACED_INVITEE, invitee_id)


def _read_chain(event_id: str, invitee_id: str) -> list[Invitee]:
    """The invitee and those before it, the first one first; one that is gone counts as the first."""
    chain = [calendly_api.get_invitee(event_id, invitee_id)]
    while (oldest := chain[0]).old_invitee_id and oldest.old_event_id and len(chain) < LONGEST_CHAIN:
        if Booking.objects.filter(invitee_id=oldest.old_invitee_id).exists():
            break
        try:
            chain.insert(0, calendly_api.get_invitee(oldest.old_event_id, oldest.old_invitee_id))
        except Refused as refusal:
            if refusal.status != 404:
                raise
            break
    return chain


def _place_now(invitee: Invitee) -> None:
    """Place an invitee without more patience: the one pending flow of the same client, else a flow of its own."""
    cause = Cause("clock", "calendly")
    session_type = _session_type(invitee)
    with transaction.atomic():
        # One worker at a time, so that nobody makes a second flow of its own.
        UnplacedInvitee.objects.select_for_update().filter(pk=invitee.invitee_id).first()
        flow_id = _flow_of_chain(invitee)
        if flow_id is None and session_type is None:
            UnplacedInvitee.objects.filter(pk=invitee.invitee_id).delete()
            return
        if flow_id is None and session_type:
            offered = _offered_flows(invitee, session_type) or _pending_flows(invitee, session_type)
            try:
                flow_id = offered[0] if offered else _direct_flow(invitee, session_type)
            except NotOurs:
                UnplacedInvitee.objects.filter(pk=invitee.invitee_id).delete()
                return
        _record(flow_id or "", invitee, cause)


def _pending_flows(invitee: Invitee, session_type: SessionType) -> list[str]:
    """The one flow of the same event type and e-mail that still waits for its booking, if there is exactly one."""
    if not invitee.email:
        return []
    flows = BookingFlow.objects.filter(
        session_type=session_type, client__email=invitee.email.lower(), decision_row="", direct=False
    ).exclude(bookings__invitee_id__isnull=False)
    if invitee.created_at:
        flows = flows.filter(created_at__lte=invitee.created_at, expires_at__gte=invitee.created_at)
    found = list(flows.values_list("pk", flat=True)[:2])
    return found if len(found) == 1 else []
