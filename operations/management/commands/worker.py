"""`manage.py worker`: runs the jobs."""

import asyncio
import logging
import signal
from contextlib import suppress
from typing import Any

import psycopg
from django.core.management.base import BaseCommand
from procrastinate.connector import BaseConnector
from procrastinate.contrib.django import app
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.contrib.django.utils import connector_params
from procrastinate.exceptions import ConnectorException
from procrastinate.psycopg_connector import PsycopgConnector

logger = logging.getLogger(__name__)

CONCURRENCY = 4
"""Jobs at a time. A worker holds this many connections, and four of its own."""
PAUSE = 1.0
"""Seconds before a worker that has lost its database tries again."""


class WorkerConnector(PsycopgConnector):
    """The worker's own connections. What a job queues goes through Django's, and so with the job's transaction.

    Procrastinate's worker would queue it through the former: at once, also if the transaction is rolled back, and
    another thread would look for rows that are not committed yet.
    """

    def get_sync_connector(self) -> BaseConnector:
        return DjangoConnector()


class Command(BaseCommand):
    """Procrastinate's own `worker` command ends when the database restarts, with exit code 0. This one goes on."""

    help = "Runs the jobs until Ctrl-C or SIGTERM, and then finishes those under way. Waits while the database is away."

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(_work_until_stopped())


async def _work_until_stopped() -> None:
    stop_requested = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop_requested.set)
    stopping = asyncio.create_task(stop_requested.wait())
    while not stop_requested.is_set():
        working = asyncio.create_task(_work())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        working.cancel()  # It finishes the jobs under way first.
        try:
            with suppress(asyncio.CancelledError):
                await working
        except (ConnectorException, psycopg.Error) as error:
            logger.warning("the worker has lost its database and will start again: %s", error.__cause__ or error)
        await asyncio.wait((stopping,), timeout=PAUSE)


async def _work() -> None:
    """Returns or raises when the database is lost."""
    connector = WorkerConnector(kwargs=connector_params())
    try:
        await connector.open_async()
        with app.replace_connector(connector):
            await app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False)
    finally:
        await connector.close_async()
