"""The only way to change a flow: lock it, record facts, and on the way out decide and write the verdict.

with settled_flow(flow_id, cause) as flow:      # begins the transaction, locks the flow
    record_invitee(flow, invitee)               # merges facts, decides nothing
                                                # on exit: decide, write the verdict, queue what is due, commit
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from bookings.facts import Decision, FlowFacts, NewIntent, Outcome, Verdict
from bookings.lifecycle import decide
from bookings.locked import Cause, LockedFlow
from bookings.models import Attention, BookingFlow, Intent, TimelineEntry
from payments import jobs
from payments.loading import flow_facts
from payments.models import Payment


@contextmanager
def settled_flow(flow_id: str, cause: Cause) -> Iterator[LockedFlow]:
    """Change one flow under its lock; whatever was recorded is decided upon and committed together.

    Raises BookingFlow.DoesNotExist for an unknown id. Make no provider call inside: a transaction is open.
    """
    with transaction.atomic():
        row = BookingFlow.objects.select_related("session_type").select_for_update(of=("self",)).get(pk=flow_id)
        bookings = list(row.bookings.order_by("created_at", "id"))
        flow = LockedFlow(row, bookings, list(row.edges.all()), cause, now=timezone.now())
        yield flow
        settle(flow)


def settle(flow: LockedFlow) -> Verdict:
    """Decide on a locked flow and write the verdict. Doing it twice changes nothing."""
    facts = flow_facts(flow)
    verdict = decide(facts, flow.now)
    before = _stored(flow)
    _write_decision(flow, facts, verdict)
    _write_statuses(flow, verdict)
    _withdraw(flow, verdict)
    for new in verdict.intents:
        write_intent(flow, new)
    for payment in Payment.objects.filter(flow=flow.row):
        if payment.refund_intended_minor != verdict.reserved[payment.pk]:
            payment.refund_intended_minor = verdict.reserved[payment.pk]
            payment.save(update_fields=["refund_intended_minor"])
    _write_attentions(flow, verdict)
    _write_timeline(flow, before, _stored(flow))
    return verdict


def write_intent(flow: LockedFlow, new: NewIntent, *, lease_until: datetime | None = None) -> Intent:
    """A call that has become due: its row, and a knock for the worker, both with this transaction.

    With a lease the caller makes the call itself as soon as it has committed.
    """
    intent = Intent(
        flow=flow.row,
        kind=new.kind,
        target=new.target,
        booking_id=new.booking_id,
        amount_minor=new.amount,
        currency=flow.row.currency,
        expires_at=new.expires_at,
        why=new.why,
        created_at=flow.now,
        next_at=flow.now,
        lease_until=lease_until,
    )
    flow.save(intent, f"Due: {new.kind} ({new.why})")
    if lease_until is None:
        jobs.knock_intent(intent.id)
    return intent


def _stored(flow: LockedFlow) -> dict[str, str]:
    """The stored verdict in few words, for the timeline's before and after."""
    row = flow.row
    words = {booking.id: str(booking.status) for booking in flow.bookings if booking.pk}
    words["payment"] = str(row.payment_status)
    if row.decision_row:
        words["decision"] = f"{row.decision_row} {row.decision_percent} %"
    return words


def _write_statuses(flow: LockedFlow, verdict: Verdict) -> None:
    for booking in flow.bookings:
        told = verdict.bookings[booking.id]
        new = (told.status, told.calendly_status, told.cancellation_pending)
        if new != (booking.status, booking.calendly_status, booking.cancellation_pending):
            booking.status, booking.calendly_status, booking.cancellation_pending = new
            booking.updated_at = flow.now
            flow.save(booking)
    row = flow.row
    status = (verdict.payment_status, verdict.disputed, verdict.hold_ends_at)
    if status != (row.payment_status, row.disputed, row.hold_ends_at):
        row.payment_status, row.disputed, row.hold_ends_at = status
        flow.touched = True
    if flow.touched:
        row.updated_at = flow.now
    if flow.touched or row.wake_at != verdict.wake_at:
        row.wake_at, row.settled_at = verdict.wake_at, flow.now
        row.save()


def _write_decision(flow: LockedFlow, facts: FlowFacts, verdict: Verdict) -> None:
    """Once: `decide` returns a decision that was written as it was."""
    if facts.decision is not None or verdict.decision is None:
        return
    end: Decision = verdict.decision
    row = flow.row
    row.decision_row, row.decision_percent, row.decision_at = end.row, end.percent, end.at
    row.decision_by, row.decision_unseen = end.by, end.unseen
    flow.touched = True
    flow.notes.append(f"Decided: {end.row}, {end.percent} % back, by {end.by}")


def _withdraw(flow: LockedFlow, verdict: Verdict) -> None:
    for intent in Intent.objects.filter(id__in=verdict.withdrawn) if verdict.withdrawn else ():
        intent.outcome, intent.closed_at, intent.lease_until = Outcome.WITHDRAWN, flow.now, None
        intent.note = "No longer wanted"
        flow.save(intent, f"No longer wanted: {intent.kind}")


def _write_attentions(flow: LockedFlow, verdict: Verdict) -> None:
    """Open what the verdict raises, close what it no longer does. Resolved ones are not raised again."""
    open_rows = {(row.kind, row.object_id): row for row in flow.row.attentions.filter(closed_at=None)}
    wanted = {(str(kind), object_id) for kind, object_id in verdict.attentions}
    for kind, object_id in sorted(wanted - open_rows.keys()):
        row = Attention(kind=kind, object_id=object_id, flow=flow.row, derived=True, opened_at=flow.now)
        flow.save(row, f"Needs attention: {kind}")
    for key, row in open_rows.items():
        if row.derived and key not in wanted:
            row.closed_at, row.note = flow.now, "It no longer holds"
            flow.save(row, f"No longer needs attention: {row.kind}")


def _write_timeline(flow: LockedFlow, before: dict[str, str], after: dict[str, str]) -> None:
    """One entry for each thing that was new; the last one carries how the verdict changed."""
    if before != after and not flow.notes:
        flow.notes.append("Time passed")
    entries = [
        TimelineEntry(
            flow=flow.row,
            at=flow.now,
            who=flow.cause.who,
            user_id=flow.cause.user_id,
            what=note[:300],
            cause_kind=flow.cause.kind,
            cause_id=flow.cause.id,
        )
        for note in flow.notes
    ]
    if entries and before != after:
        entries[-1].before, entries[-1].after = before, after
    TimelineEntry.objects.bulk_create(entries)
    flow.notes.clear()
