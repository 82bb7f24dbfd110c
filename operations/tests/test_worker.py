"""What a job queues while it runs in a worker. That the worker outlives its database is in `test_crashes.py`."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.contrib.django.utils import connector_params

from operations.management.commands.worker import WorkerConnector


class Interrupted(Exception):
    """What makes the test's transaction roll back."""


def queue(*, interrupted: bool) -> None:
    try:
        with transaction.atomic():
            app.configure_task("tests.nothing").defer()
            if interrupted:
                raise Interrupted
    finally:
        connection.close()  # The thread has one of its own.


async def in_a_worker(*, interrupted: bool) -> None:
    """Queue a job from another, as the worker runs one: in a thread, while its own connections are open."""
    connector = WorkerConnector(kwargs=connector_params())
    await connector.open_async()
    try:
        with app.replace_connector(connector):
            await sync_to_async(queue)(interrupted=interrupted)
    finally:
        await connector.close_async()


def queued() -> int:
    """Ours only: what earlier tests queued is not flushed with their rows."""
    return ProcrastinateJob.objects.filter(task_name="tests.nothing").count()


def run(work: Coroutine[Any, Any, None]) -> None:
    """In a thread of its own: the browser of earlier tests keeps an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


@pytest.mark.django_db(transaction=True)
def test_a_job_queues_others_in_its_own_transaction():
    run(in_a_worker(interrupted=False))
    assert queued() == 1

    with pytest.raises(Interrupted):
        run(in_a_worker(interrupted=True))
    assert queued() == 1
