"""The parts of a Slotpay on one machine: their command lines, ports and environment (`manage.py dev`, fault tests)."""

import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"

MANAGE = (sys.executable, "manage.py")
WORKER = (*MANAGE, "worker")


def web_server(host: str, port: int, workers: int) -> list[str]:
    """The command line of the web server with so many processes, of eight threads each."""
    address = ["--host", host, "--port", str(port)]
    threads = ["--workers", str(workers), "--blocking-threads", "8", "--workers-kill-timeout", "4"]
    granian = [sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--log-level", "error"]
    return [*granian, *address, *threads, "config.wsgi:application"]


def sandbox(provider: str, port: int, state: Path) -> list[str]:
    """The command line of the local "calendly" or "stripe". It wants `sandbox_environment` around it."""
    module = f"sandbox.{provider}"
    return [sys.executable, "-m", module, "--host", LOOPBACK, "--port", str(port), "--state", str(state)]


def new_keys() -> dict[str, str]:
    """Made-up keys, in the providers' own forms, for the sandbox and for the service."""
    return {
        "STRIPE_SECRET_KEY": f"sk_test_{secrets.token_hex(12)}",
        "STRIPE_WEBHOOK_SECRETS": f"whsec_{secrets.token_hex(16)}",
        "CALENDLY_API_TOKEN": secrets.token_hex(16),
        "CALENDLY_WEBHOOK_SIGNING_KEYS": secrets.token_hex(16),
    }


def sandbox_environment(calendly_port: int, stripe_port: int, keys: Mapping[str, str]) -> dict[str, str]:
    """What makes the service talk to the sandbox, and lets both know the same keys (those of `new_keys`)."""
    calendly = f"http://{LOOPBACK}:{calendly_port}"
    return {
        **keys,
        "CALENDLY_API_BASE": calendly,
        "CALENDLY_ORGANIZATION": f"{calendly}/organizations/SANDBOX",
        "STRIPE_API_BASE": f"http://{LOOPBACK}:{stripe_port}",
        "STRIPE_ACCOUNT_ID": "acct_sandbox000000000",
        "STRIPE_LIVEMODE": "false",
        "SANDBOX_CALENDLY_TOKEN": keys["CALENDLY_API_TOKEN"],
        "SANDBOX_STRIPE_KEY": keys["STRIPE_SECRET_KEY"],
        "SANDBOX_STRIPE_WEBHOOK_SECRET": keys["STRIPE_WEBHOOK_SECRETS"],
    }


@contextmanager
def reserved_port(host: str, first: int, tries: int = 100) -> Iterator[int]:
    """A TCP port at or after `first` that is free, and that no other `reserved_port` gives until this one is left.

    To find a port free is not enough. Two that start at once would both find it free, and the web server shares a port
    without a word (it binds with SO_REUSEPORT). So each holds the UDP port of the same number, which only one can.
    Raises OSError when there is none.
    """
    refusal: Exception | None = None
    for port in range(first, first + tries):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hold:
            try:
                hold.bind((host, port))
                socket.create_server((host, port)).close()
            except (OSError, OverflowError) as error:
                refusal = error
                continue
            yield port
            return
    ports = f"port {first}" if tries == 1 else f"any port from {first} to {first + tries - 1}"
    raise OSError(f"Cannot use {ports} on {host}: {refusal}")


def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
