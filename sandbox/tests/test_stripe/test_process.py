"""The local Stripe as a process of its own: switches, restarts, the end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import stripe

from sandbox.tests.test_stripe.house import TALK, House, Letterbox

KEY = "sk_test_KeyOfThisTest00000000"


@contextmanager
def process(*switches: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running process and its base URL."""
    started = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "sandbox.stripe", "--port", "0", *switches],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "SANDBOX_STRIPE_KEY": KEY, **environment},
    )
    try:
        assert started.stdout
        said = started.stdout.readline()
        assert said.startswith("Stripe sandbox is ready on http://127.0.0.1:"), said + started.stdout.read()
        yield started, said.split()[-1]
    finally:
        started.kill()
        started.wait()


def ask(base: str, method: str, path: str, form: dict[str, str] | None = None) -> dict[str, Any]:
    answer = requests.request(method, base + path, data=form, auth=(KEY, ""), timeout=5)
    assert answer.ok, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_restart_still_knows_its_sessions_and_goes_on_delivering(tmp_path: Path, box: Letterbox):
    file = str(tmp_path / "stripe.json")
    box.refusals = [500]
    with process("--state", file, SANDBOX_STRIPE_WEBHOOK_SECRET="whsec_known") as (first, base):
        ask(base, "POST", "/v1/webhook_endpoints", {"url": box.url, "enabled_events[]": "checkout.session.completed"})
        session = ask(base, "POST", "/v1/checkout/sessions", TALK)
        requests.post(f"{base}/c/pay/{session['id']}", data={"action": "pay"}, allow_redirects=False, timeout=5)
        box.wait_for(1)
        first.kill()
        first.wait()
    with process("--state", file) as (_, base):
        read = ask(base, "GET", f"/v1/checkout/sessions/{session['id']}")
        assert (read["status"], read["payment_status"]) == ("complete", "paid")
        box.wait_for(2)
        headers, body = box.letters[-1]
        event = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], "whsec_known")
        assert event.data.object["id"] == session["id"]
    assert json.loads(Path(file).read_text())["tables"]["checkout.session"], "a kill leaves a whole file"


def test_only_the_configured_key_opens_it(box: Letterbox):
    with process() as (_, base):
        assert requests.get(f"{base}/v1/account", auth=("sk_test_other", ""), timeout=5).status_code == 401
        assert ask(base, "GET", "/v1/account")["object"] == "account"


def test_sigterm_ends_it_at_once():
    with process() as (running, _):
        asked = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=2) == 0
        assert time.monotonic() - asked < 1


def test_rates_from_the_environment_are_used_and_wrong_ones_end_it_with_their_name():
    with process(SANDBOX_FAULTS="rate_limit=1") as (_, base):
        limited = requests.get(f"{base}/v1/account", auth=(KEY, ""), timeout=5)
        assert limited.status_code == 429
        assert House(base).control("faults", rates={})["rates"] == {}
        assert ask(base, "GET", "/v1/account")["object"] == "account"
    wrong = subprocess.run(
        [sys.executable, "-m", "sandbox.stripe", "--port", "0"],
        env={**os.environ, "SANDBOX_FAULTS": "dorp=0.5"},
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert wrong.returncode != 0
    assert "unknown rates: dorp" in wrong.stderr
