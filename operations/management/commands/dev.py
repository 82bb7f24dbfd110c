"""`manage.py dev`: everything that Slotpay needs, on one machine and in one terminal. `make run` calls it."""

import http.client
import json
import os
import signal
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.embedded_postgres import ClusterError, default_cluster, die_with_parent
from operations.parts import (
    LOOPBACK,
    MANAGE,
    WORKER,
    listens,
    new_keys,
    reserved_port,
    sandbox,
    sandbox_environment,
    web_server,
)
from operations.supervisor import ChildEnded, StopRequested, Supervisor

RUN_ENV: Path = settings.VAR_DIR / "run.env"  # read by config/settings.py, for commands in a second terminal
READY_SECONDS = 60


class Command(BaseCommand):
    """Starts everything in order. Stops it in the reverse order on Ctrl-C, on SIGTERM, or when a part of it dies."""

    help = "Runs database, sandbox, web server and workers until Ctrl-C."
    requires_system_checks = []  # They may look at the database, which is not there yet.

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Exits with 0 when asked to stop, with the exit code of a part that died (or 1), with 1 if it cannot start."""
        if "MAKELEVEL" in os.environ:
            die_with_parent(signal.SIGTERM)  # A `make` that was killed cannot pass the signal on.
        forget_an_earlier_run()
        with Supervisor() as processes:
            try:
                run_everything(processes)
            except StopRequested:
                processes.say("Slotpay has stopped.")
            except ChildEnded as ended:
                processes.say(f"{ended}. Slotpay has stopped.")
                sys.exit(max(ended.returncode, 1))
            except (ClusterError, OSError) as error:
                raise CommandError(error) from error


def run_everything(processes: Supervisor) -> None:
    """Start all, say so, and watch. Ends only by an exception, and has stopped everything by then."""
    with ExitStack() as at_the_end:
        if not os.environ.get("DATABASE_URL"):
            database = default_cluster()
            at_the_end.callback(database.stop)
            processes.watch("database", database.start())
        at_the_end.callback(processes.stop)

        port, providers = take_ports(at_the_end)
        host = LOOPBACK if settings.HOST == "0.0.0.0" else settings.HOST  # noqa: S104
        ours = {"PORT": str(port), "PUBLIC_URL": os.environ.get("PUBLIC_URL") or f"http://{host}:{port}"}
        if providers:
            ours |= sandbox_environment(providers["calendly"], providers["stripe"], kept_keys())
        environment = os.environ | ours
        at_the_end.callback(RUN_ENV.unlink, missing_ok=True)
        write_private(RUN_ENV, "".join(f"{name}={value}\n" for name, value in ours.items()))

        processes.say("Preparing the database.")
        processes.run("migrate", [*MANAGE, "migrate", "--verbosity", "0"], environment)
        if providers:
            start_sandbox(processes, providers, environment)
        processes.start("web", web_server(settings.HOST, port, settings.WEB_WORKERS), environment)
        for _ in range(settings.WORKERS):
            processes.start("worker", WORKER, environment)
        processes.wait_until(lambda: is_healthy(host, port), READY_SECONDS, "The web server does not answer /healthz.")

        processes.say(where_to_look(ours))
        processes.say("Slotpay is ready")
        processes.wait()


def take_ports(until_the_end: ExitStack) -> tuple[int, dict[str, int]]:
    """The web server's port, and those of the sandbox's two providers unless it is off."""
    given = os.environ.get("PORT")
    web = reserved_port(settings.HOST, int(given), tries=1) if given else reserved_port(settings.HOST, 8000)
    port = until_the_end.enter_context(web)
    providers = {"calendly": 8001, "stripe": 8002} if sandbox_is_wanted() else {}
    return port, {name: until_the_end.enter_context(reserved_port(LOOPBACK, at)) for name, at in providers.items()}


def start_sandbox(processes: Supervisor, providers: dict[str, int], environment: dict[str, str]) -> None:
    """Start both providers, tell them where our webhooks are, and load the demo data, which names their event types.

    Demo data exist only beside the sandbox and with DEBUG on, because their passwords are public.
    """
    for name, port in providers.items():
        processes.start(name, sandbox(name, port, settings.VAR_DIR / f"sandbox-{name}.json"), environment)
    for name, port in providers.items():
        complaint = f"The sandbox's {name} does not answer."
        processes.wait_until(partial(listens, LOOPBACK, port), READY_SECONDS, complaint)
    processes.run("webhooks", [*MANAGE, "setup_webhooks"], environment)
    if settings.DEBUG:
        processes.run("demo", [*MANAGE, "load_demo"], environment)


def forget_an_earlier_run() -> None:
    """Settings have read var/run.env. What a killed run left there is not what the user has set."""
    if RUN_ENV.exists():
        for line in RUN_ENV.read_text().splitlines():
            name, _, value = line.partition("=")
            if os.environ.get(name) == value:
                del os.environ[name]


def sandbox_is_wanted() -> bool:
    """SANDBOX: on, off, or auto, which is off as soon as both API bases or both keys are given."""
    choice = os.environ.get("SANDBOX") or "auto"
    if choice not in ("auto", "on", "off"):
        raise CommandError("SANDBOX must be auto, on or off.")
    bases, keys = ("STRIPE_API_BASE", "CALENDLY_API_BASE"), ("STRIPE_SECRET_KEY", "CALENDLY_API_TOKEN")
    given = any(all(os.environ.get(name) for name in pair) for pair in (bases, keys))
    return choice == "on" or (choice == "auto" and not given)


def kept_keys() -> dict[str, str]:
    """The sandbox's keys, made once and kept in var/, because its state and our rows survive a restart."""
    path = settings.VAR_DIR / "sandbox-keys.json"
    if not path.exists():
        write_private(path, json.dumps(new_keys()))
    keys: dict[str, str] = json.loads(path.read_text())
    return keys


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read, from its first byte."""
    path.parent.mkdir(exist_ok=True)
    with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)


def is_healthy(host: str, port: int) -> bool:
    """Whether GET /healthz answers 200."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def where_to_look(ours: dict[str, str]) -> str:
    """What the person at the terminal wants to know."""
    url = ours["PUBLIC_URL"]
    lines = ["", f"  API       {url}/api/scheduling/session-types", f"  Admin     {url}/admin/"]
    if "CALENDLY_API_BASE" in ours:
        lines += [f"  Sandbox   {ours['CALENDLY_API_BASE']} (Calendly), {ours['STRIPE_API_BASE']} (Stripe)"]
        if settings.DEBUG:
            lines += ["  Client    client@example.com, password slotpay-client"]
            lines += ["  Staff     staff@example.com, password slotpay-staff"]
    return "\n".join([*lines, ""])
