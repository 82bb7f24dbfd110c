"""The worker's part in payments: make due calls, and sweep for rows whose time has come (LIFECYCLE 2)."""

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.utils import timezone
from procrastinate.contrib.django import app

from api.calling import CallFailed, Refused
from bookings.locked import Cause
from bookings.models import BookingFlow
from payments import acting, mirror, placing, stripe_api
from payments.jobs import ACT, LOST_CONNECTIONS, PLACE, knock
from payments.settlement import settled_flow

logger = logging.getLogger(__name__)

MOST_PER_SWEEP = 200
MOST_REREAD = 20


@app.task(name=ACT, retry=LOST_CONNECTIONS)
def act(intent_id: str) -> None:
    acting.act(intent_id)


@app.task(name=PLACE, retry=LOST_CONNECTIONS)
def place(invitee_id: str) -> None:
    """Find the flow of an unplaced invitee. While Calendly does not answer, the row's next time stands."""
    try:
        placing.place_again(invitee_id)
    except CallFailed as failure:
        logger.warning("invitee %s could not be read: %s", invitee_id, failure.message)


@app.periodic(cron="* * * * * */5")
@app.task(name="payments.sweep", queueing_lock="payments.sweep", retry=LOST_CONNECTIONS)
def sweep(timestamp: int) -> None:
    """Settle the flows whose time has come, and knock for calls and unplaced invitees that are due."""
    now = timezone.now()
    settle_due_flows()
    for intent_id in acting.due_intents(now, MOST_PER_SWEEP):
        knock(ACT, intent_id, intent_id=intent_id)
    for invitee_id in placing.due_unplaced(now, MOST_PER_SWEEP):
        knock(PLACE, invitee_id, invitee_id=invitee_id)


@app.periodic(cron="* * * * *")
@app.task(name="payments.reread", queueing_lock="payments.reread", retry=LOST_CONNECTIONS)
def reread(timestamp: int) -> None:
    """Read again what the mirror could not tell the newest state of, a few objects at a time."""
    for mark in mirror.stale_objects()[:MOST_REREAD]:
        asked_at = timezone.now()
        try:
            obj = stripe_api.read_object(mark.kind, mark.object_id)
        except Refused as refusal:
            logger.warning("%s could not be read for the mirror: %s", mark.object_id, refusal.status)
            mirror.give_up(mark.object_id)
        except CallFailed:
            return  # Stripe is away; next time
        else:
            mirror.mirror_object(obj, asked_at)


@app.task(name="payments.sweep_now")
def sweep_now() -> int:
    """Do everything that is due, here and now; how many rows (`manage.py sweep`)."""
    now = timezone.now()
    done = settle_due_flows()
    done += _each(acting.due_intents(now, MOST_PER_SWEEP), acting.act)
    return done + _each(placing.due_unplaced(now, MOST_PER_SWEEP), place)


def settle_due_flows() -> int:
    """Settle the flows whose `wake_at` has passed, the longest due first; how many."""
    due = BookingFlow.objects.filter(wake_at__lte=timezone.now()).order_by("wake_at")
    return _each(list(due.values_list("pk", flat=True)[:MOST_PER_SWEEP]), _settle)


def _settle(flow_id: str) -> None:
    with settled_flow(flow_id, Cause.clock()):
        pass


def _each(row_ids: list[str], look_at: Callable[[str], object]) -> int:
    """Look at each row; how many. One that fails stops no other, unless the database is lost."""
    for row_id in row_ids:
        try:
            look_at(row_id)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            logger.exception("%s failed", row_id)
    return len(row_ids)
