"""Running `reconcile` in a world of local providers, and what it may and may not change."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.core.management import call_command
from django.utils import timezone

from bookings.models import Booking, BookingFlow, TimelineEntry
from payments.models import Checkout, Payment
from webhooks.models import Delivery
from webhooks.tests.world import World

AGREED, MENDED, LEFT = 0, 1, 2


def run(command: str = "reconcile", **options: Any) -> int:
    """Run the command; its exit code."""
    try:
        call_command(command, **options)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def updates() -> dict[str, Any]:
    """When flows and bookings were last updated, and how long their history is."""
    rows: dict[str, Any] = dict(BookingFlow.objects.values_list("pk", "updated_at"))
    rows |= dict(Booking.objects.values_list("pk", "updated_at"))
    return rows | {"timeline": TimelineEntry.objects.count()}


@contextmanager
def nothing_changes() -> Iterator[None]:
    before = updates()
    yield
    assert updates() == before


def paid(world: World) -> tuple[str, str]:
    """A booking that is confirmed by reading alone; the ids of its flow and its payment."""
    flow_id = world.person().initiate()
    world.book(flow_id)
    run()
    world.work()
    world.pay(Checkout.objects.get(flow_id=flow_id).session_id)
    run()
    world.work()
    assert not Delivery.objects.exists()
    return flow_id, Payment.objects.get(flow_id=flow_id).pk


def heard(world: World) -> tuple[str, str]:
    """A booking that is confirmed by the webhooks; the ids of its flow and its payment."""
    flow_id, _, session_id = world.walk_to_payment(world.person())
    world.pay(session_id)
    world.hear()
    return flow_id, Payment.objects.get(flow_id=flow_id).pk


def later() -> datetime:
    """Later than all that was made."""
    return timezone.now() + timedelta(days=1)
