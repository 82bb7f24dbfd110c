"""The inbox's life: keep a delivery, work on it, try again, park it.

Working on a delivery twice, or on two workers at once, ends the same (R23): facts merge under the flow's lock.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.exceptions import ConnectorException

from api.calling import Refused, Unavailable, Unknown
from bookings.attention import raise_attention
from bookings.facts import AttentionKind
from webhooks.models import Delivery, State

logger = logging.getLogger(__name__)

PROCESS = "webhooks.process"
TRIES = 5
FIRST_WAIT = timedelta(milliseconds=500)
"""2^n times this between the tries (contract section 7)."""
GRACE = timedelta(seconds=10)
"""How long a knock may take before the sweeper knocks again."""
PROVIDER_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(hours=1)
"""While a provider that must be read does not answer, the delivery waits: nothing is wrong with it."""


class Parked(Exception):
    """This delivery cannot be understood; trying again would not help. The message says why."""


class Ignored(Exception):
    """This delivery does not concern us. The message says why."""


def keep(provider: str, name: str, key: str, body: bytes) -> None:
    """Store a verified webhook and queue a knock, in one transaction. A doubled one changes nothing."""
    now = timezone.now()
    delivery = Delivery(
        id=f"{provider}:{key}", provider=provider, name=name, body=body, received_at=now, next_at=now + GRACE
    )
    with transaction.atomic():
        Delivery.objects.bulk_create([delivery], ignore_conflicts=True)
        app.configure_task(PROCESS).defer(delivery_id=delivery.id)


def process(delivery_id: str, read: Callable[[Delivery], str]) -> None:
    """Work on a delivery if it is still due; `read` records what it says and returns the flow's id, or "".

    A failure is kept on the row: five tries, then it is parked and somebody is told (R25). Others go on. Only a lost
    database goes through to the caller, for then nothing can be written down.
    """
    delivery = Delivery.objects.filter(pk=delivery_id, state=State.DUE).first()
    if delivery is None:
        return
    try:
        flow_id = read(delivery)
    except Ignored as ignored:
        _close(delivery, State.IGNORED, reason=str(ignored))
    except Parked as parked:
        _park(delivery, str(parked))
    except (Unavailable, Unknown) as failure:
        _wait_for_provider(delivery, failure.message)
    except Refused as refusal:
        _refused(delivery, refusal)
    except (OperationalError, InterfaceError, ConnectorException):
        raise
    except Exception as error:
        logger.exception("delivery %s failed", delivery.id)
        _try_again(delivery, f"{type(error).__name__}: {error}")
    else:
        _close(delivery, State.PROCESSED, flow_id=flow_id)


def _close(delivery: Delivery, state: State, *, reason: str = "", flow_id: str = "") -> bool:
    """Write down how it ended; False if another worker on the same delivery was quicker."""
    end = {"state": state, "reason": reason[:500], "flow_id": flow_id, "processed_at": timezone.now()}
    return bool(_still_due(delivery).update(attempts=delivery.attempts, **end))


def _park(delivery: Delivery, reason: str) -> None:
    with transaction.atomic():
        if _close(delivery, State.PARKED, reason=reason):
            raise_attention(AttentionKind.DELIVERY_PARKED, delivery.id, text=reason)


def _try_again(delivery: Delivery, error: str) -> None:
    delivery.attempts += 1
    if delivery.attempts >= TRIES:
        _park(delivery, error)
    else:
        _knock_at(delivery, timezone.now() + FIRST_WAIT * 2 ** (delivery.attempts - 1), error)


def _refused(delivery: Delivery, refusal: Refused) -> None:
    """What had to be read was refused. A token that is not known or may not read is no fault of the delivery."""
    if refusal.status in (401, 403):
        raise_attention(AttentionKind.PROVIDER_FORBIDDEN, delivery.provider, text=refusal.message)
        _wait_for_provider(delivery, refusal.message)
    else:
        _try_again(delivery, f"Refused: {refusal.message}")


def _wait_for_provider(delivery: Delivery, error: str) -> None:
    waited = timezone.now() - delivery.received_at
    _knock_at(delivery, timezone.now() + min(max(PROVIDER_PAUSE, waited), LONGEST_PAUSE), error)


def _knock_at(delivery: Delivery, at: datetime, error: str) -> None:
    with transaction.atomic():
        if _still_due(delivery).update(attempts=delivery.attempts, next_at=at + GRACE, reason=error[:500]):
            app.configure_task(PROCESS, schedule_at=at).defer(delivery_id=delivery.id)


def _still_due(delivery: Delivery) -> QuerySet[Delivery]:
    """What one worker writes must not undo what another has done meanwhile (R23)."""
    return Delivery.objects.filter(pk=delivery.pk, state=State.DUE)


def due_deliveries(now: datetime, limit: int) -> list[str]:
    """Deliveries that a lost knock or a crash left behind, the longest due first."""
    rows = Delivery.objects.filter(state=State.DUE, next_at__lte=now).order_by("next_at")
    return list(rows.values_list("pk", flat=True)[:limit])
