"""All of Slotpay as processes of a test's own, to be killed and started again, and a client that books and pays."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from config.embedded_postgres import CHECKOUT, Cluster
from operations.parts import (
    LOOPBACK,
    MANAGE,
    listens,
    new_keys,
    sandbox,
    sandbox_environment,
    web_server,
)
from operations.supervisor import Child

PATIENCE = 60.0
"""Seconds for anything to happen. Far more than it takes, for slow machines."""
# What `manage.py dev` runs as three commands, in one process. Against a DATABASE_URL `migrate` would take dj-stripe's
# own migrations: 50 s. These make the same tables in 4 s.
PREPARE = """
import django
from django.conf import settings
from django.core.management import call_command

settings.MIGRATION_MODULES = {"djstripe": "payments.djstripe_migrations"}
django.setup()
call_command("migrate", verbosity=0)
call_command("load_demo")
call_command("setup_webhooks")
"""


def outside_environment() -> dict[str, str]:
    """Our environment without any setting of Slotpay's, as a developer's shell has it."""
    names = re.findall(r"^#? ?([A-Z_]+)=", (CHECKOUT / ".env.example").read_text(), re.MULTILINE)
    ours = {*names, "ENV_FILE", "DJANGO_SETTINGS_MODULE"}
    return {name: value for name, value in os.environ.items() if name not in ours}


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait for the condition and give its value; fails with `what` had to happen."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)
    return value


class Machine:
    """Database, sandbox, web server and a worker, with the demo data, in a folder that all may pass through."""

    def __init__(self, home: Path, ports: tuple[int, int, int]) -> None:
        port, calendly, stripe = ports
        self.cluster = Cluster(home / "postgres")
        self.url = f"http://{LOOPBACK}:{port}"
        self.calendly, self.stripe = f"http://{LOOPBACK}:{calendly}", f"http://{LOOPBACK}:{stripe}"
        self.log = home / "log"
        self._ports = ports
        self._home = home
        self._children: dict[str, Child] = {}
        self._environment = {
            **outside_environment(),
            **sandbox_environment(calendly, stripe, new_keys()),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "ENV_FILE": "",
            "SECRET_KEY": "a-secret-key-for-tests-and-for-nothing-else-9c07",
            "DATABASE_URL": self.cluster.url(),
            "PORT": str(port),
            "PUBLIC_URL": self.url,
        }

    def start(self) -> None:
        port, calendly, stripe = self._ports
        self._start("calendly", sandbox("calendly", calendly, self._home / "calendly.json"))
        self._start("stripe", sandbox("stripe", stripe, self._home / "stripe.json"))
        self.cluster.start()
        wait_until(lambda: listens(LOOPBACK, calendly) and listens(LOOPBACK, stripe), "the sandbox answers")
        preparing = self._start("prepare", [sys.executable, "-c", PREPARE])
        assert preparing.process.wait() == 0, self.last_words()
        self._start("web", web_server(LOOPBACK, port, 1))
        self.start_worker()
        wait_until(lambda: listens(LOOPBACK, port), "the web server answers")

    def stop(self) -> None:
        """At once. The database is thrown away, so it does not have to be left tidy."""
        for child in self._children.values():
            child.kill()
        if self.cluster.process:
            self.kill_database()
        self.cluster.stop()

    def start_worker(self) -> None:
        """Start the worker and wait until it has put its name down."""
        before = self._newest_worker()
        self._start("worker", [*MANAGE, "worker"])
        wait_until(lambda: self._newest_worker() > before, "a worker runs")

    def kill_worker(self) -> None:
        worker = self._children["worker"]
        assert worker.process.poll() is None, f"the worker had ended by itself: {self.last_words()}"
        assert worker.kill() == -signal.SIGKILL

    def kill_database(self) -> None:
        """As `pg_ctl stop -m immediate`: sessions are cut, nothing is tidied up, the next start replays the log."""
        assert self.cluster.process
        self.cluster.process.send_signal(signal.SIGQUIT)
        self.cluster.process.wait()

    def sql(self, statement: LiteralString) -> Any:
        """Do something behind the service's back; the first value of the first row, if there is one."""
        folder = str(self.cluster.socket_folder)
        with psycopg.connect(host=folder, port=5432, user="slotpay", dbname="postgres") as connection:
            cursor = connection.execute(statement)
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def a_while_passes(self) -> None:
        """Nobody gives back what a killed worker had taken: its lease on a call, its knock for a delivery.

        They run out, after two minutes and after ten seconds. So long a test should not take.
        """
        self.sql("update bookings_intent set lease_until = now() where outcome = 'open' and lease_until > now()")
        self.sql("update webhooks_delivery set next_at = now() where state = 'due' and next_at > now()")

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def _newest_worker(self) -> int:
        return int(self.sql("select coalesce(max(id), 0) from procrastinate_workers"))

    def _start(self, name: str, argv: Sequence[str]) -> Child:
        with self.log.open("ab") as log:
            self._children[name] = Child(name, argv, self._environment, output=log)
        return self._children[name]
