"""What is stored of a verdict beside what `decide` says (LIFECYCLE I8)."""

from collections.abc import Iterator

from bookings.facts import FlowFacts
from bookings.lifecycle import decide
from payments.loading import FlowRows


def differences(rows: FlowRows, facts: FlowFacts) -> Iterator[tuple[str, str]]:
    """Where the rows are not what follows from the facts at the time of their settlement, as (object id, text).

    A flow that was only begun was never settled: then the time of its beginning counts.
    """
    row = rows.flow
    verdict = decide(facts, row.settled_at or row.created_at)
    yield from _unlike(
        row.id,
        decision=(facts.decision, verdict.decision),
        payment_status=(row.payment_status, verdict.payment_status),
        disputed=(row.disputed, verdict.disputed),
        hold_ends_at=(row.hold_ends_at, verdict.hold_ends_at),
        wake_at=(row.wake_at, verdict.wake_at),
    )
    for booking in rows.bookings:
        told = verdict.bookings[booking.id]
        yield from _unlike(
            booking.id,
            status=(booking.status, told.status),
            calendly_status=(booking.calendly_status, told.calendly_status),
            cancellation_pending=(booking.cancellation_pending, told.cancellation_pending),
        )
    for payment in rows.payments:
        reserved = (payment.refund_intended_minor, verdict.reserved[payment.pk])
        yield from _unlike(payment.pk, refund_intended_minor=reserved)
    for new in verdict.intents:
        yield new.target or row.id, f"{new.kind} is due ({new.why}), and was not written"
    for intent_id in sorted(verdict.withdrawn):
        yield intent_id, "no longer wanted, and open"
    yield from _attentions(rows, {(str(kind), object_id) for kind, object_id in verdict.attentions})


def _unlike(object_id: str, **columns: tuple[object, object]) -> Iterator[tuple[str, str]]:
    """Columns of which the two values, as stored and as decided, are not the same."""
    for name, (stored, decided) in columns.items():
        if stored != decided:
            yield object_id, f"{name} is {stored}, and should be {decided}"


def _attentions(rows: FlowRows, decided: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """One that a room raised by itself does as well as a derived one."""
    open_ones = [one for one in rows.attentions if one.closed_at is None]
    for kind, object_id in sorted(decided - {(one.kind, one.object_id) for one in open_ones}):
        yield object_id, f"{kind} holds, and needs no attention"
    for one in open_ones:
        if one.derived and (one.kind, one.object_id) not in decided:
            yield one.object_id, f"{one.kind} needs attention, and does not hold"
