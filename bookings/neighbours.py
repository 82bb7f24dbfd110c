"""Which booking came before and after another in a chain of reschedules."""

from collections.abc import Iterable

from bookings.models import Booking, RescheduleEdge


def neighbours_of(bookings: Iterable[Booking]) -> dict[str, tuple[str | None, str | None]]:
    """For each booking id the ids of the nearest seen bookings (before, after); in two statements."""
    flow_ids = {booking.flow_id for booking in bookings}
    after: dict[str, set[str]] = {}
    for edge in RescheduleEdge.objects.filter(flow__in=flow_ids):
        after.setdefault(edge.old_invitee_id, set()).add(edge.new_invitee_id)
    if not after:
        return {}
    seen = dict(Booking.objects.filter(flow__in=flow_ids).exclude(invitee_id=None).values_list("invitee_id", "pk"))
    before: dict[str, set[str]] = {}
    for old, news in after.items():
        for new in news:
            before.setdefault(new, set()).add(old)
    return {
        booking.id: (_nearest(booking.invitee_id, before, seen), _nearest(booking.invitee_id, after, seen))
        for booking in bookings
    }


def _nearest(invitee_id: str | None, steps: dict[str, set[str]], seen: dict[str | None, str]) -> str | None:
    """The first seen booking on the way."""
    passed: set[str] = set()
    ring = steps.get(invitee_id or "", set())
    while ring:
        for one in sorted(ring):
            if one in seen:
                return seen[one]
        passed |= ring
        ring = {new for one in ring for new in steps.get(one, set())} - passed
    return None
