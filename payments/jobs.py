"""Knocks on the worker's door. Jobs are named, so nothing imports upward; losing one costs seconds, never data."""

from datetime import datetime

from django.db import InterfaceError, OperationalError
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException

ACT = "payments.act"
PLACE = "payments.place"
LOST_CONNECTIONS = RetryStrategy(
    max_attempts=10, linear_wait=1, retry_exceptions=[OperationalError, InterfaceError, ConnectorException]
)
"""A job is tried again only if the database was away; anything else is kept on the row that it looks at."""


def knock_intent(intent_id: str, at: datetime | None = None) -> None:
    """Have the worker look at an intent, now or at a time, with the transaction that we are in."""
    app.configure_task(ACT, schedule_at=at).defer(intent_id=intent_id)


def knock(task: str, about: str, **arguments: str) -> None:
    """The sweeper's knock: once while one is waiting. Not for use inside a transaction, which a second would end."""
    try:
        app.configure_task(task, queueing_lock=f"{task}:{about}").defer(**arguments)
    except AlreadyEnqueued:
        return
