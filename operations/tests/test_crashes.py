"""Processes killed and a database restarted in the middle of a booking: every booking ends as if nothing had been."""

import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from operations.parts import LOOPBACK, reserved_port
from operations.tests.machine import Machine, wait_until
from operations.tests.walking import Client, Walk

PRICE_MINOR = 12_000


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    home = Path(tempfile.mkdtemp(prefix="slotpay-test-"))
    home.chmod(0o711)  # As root, the database runs as another user.
    with ExitStack() as at_the_end:
        at_the_end.callback(shutil.rmtree, home)
        web, calendly, stripe = [at_the_end.enter_context(reserved_port(LOOPBACK, 18700)) for _ in range(3)]
        machine = Machine(home, (web, calendly, stripe))
        at_the_end.callback(machine.stop)
        machine.start()
        yield machine


@pytest.fixture
def client(machine: Machine) -> Iterator[Client]:
    client = Client(machine)
    with client.session:
        yield client


def control_room(provider: str, what: str, **change: Any) -> Any:
    """What a local provider says in its control room, after a change if there is one."""
    url = f"{provider}/_sandbox/{what}"
    answer = requests.post(url, json=change, timeout=30) if change else requests.get(url, timeout=30)
    answer.raise_for_status()
    return answer.json()


def all_is_well(machine: Machine, walks: list[Walk]) -> None:
    """Every booking is confirmed and paid, once; nothing is left to do and nothing for a person to look at."""
    for walk in walks:
        wait_until(walk.is_confirmed_and_paid, f"{walk.name} is confirmed and paid")
    due = "select count(*) from webhooks_delivery where state = 'due'"
    wait_until(lambda: machine.sql(due) == 0, "no delivery is due")
    open_calls = "select count(*) from bookings_intent where outcome = 'open'"
    wait_until(lambda: machine.sql(open_calls) == 0, "no call is open")
    assert machine.sql("select reason from webhooks_delivery where state = 'parked'") is None
    assert machine.sql("select kind || ' ' || text from bookings_attention where closed_at is null") is None

    objects = control_room(machine.stripe, "ledger")["objects"]
    for walk in walks:
        sessions = [one for one in objects["checkout.session"] if one["client_reference_id"] == walk.booking_id]
        payments = [one for one in objects["payment_intent"] if one["metadata"].get("bookingId") == walk.booking_id]
        assert len(sessions) == 1
        assert [one["amount_received"] for one in payments] == [PRICE_MINOR]
    assert not objects.get("refund")


def test_a_worker_killed_at_any_moment_changes_no_ending(machine, client):
    moments = random.Random(11)  # noqa: S311
    walks = [Walk(client, f"Kim {number}") for number in range(4)]
    for step in Walk.STEPS:
        for walk in walks:
            walk.go(upto=step)
            if step != "initiate" and walk in walks[1::2]:
                time.sleep(moments.uniform(0, 0.3))
                machine.kill_worker()
                machine.a_while_passes()
                machine.start_worker()

    all_is_well(machine, walks)


def test_a_worker_killed_while_a_provider_answers_changes_no_ending(machine, client):
    def kill_the_worker_while_it_waits_for(provider: str) -> None:
        wait_until(lambda: not control_room(provider, "faults")["next"], f"{provider} is asked")
        machine.kill_worker()
        machine.a_while_passes()
        machine.start_worker()

    walk = Walk(client, "Alex")
    for provider, method, path in (
        (machine.calendly, "GET", "/scheduled_events/*"),
        (machine.stripe, "POST", "/v1/checkout/sessions"),
    ):
        late = {"method": method, "path": path, "do": "slow"}
        control_room(provider, "faults", rates={"slow_seconds": 2}, next=[late])
    control_room(machine.calendly, "shape", shape="contract")  # which lacks what the worker then has to read
    walk.go(upto="pick_a_slot")
    kill_the_worker_while_it_waits_for(machine.calendly)
    kill_the_worker_while_it_waits_for(machine.stripe)
    control_room(machine.calendly, "shape", shape="v2")
    walk.go()

    all_is_well(machine, [walk])


def test_a_database_restart_changes_no_ending(machine):
    over = threading.Event()

    def look_until_it_is_over(visitor: Client) -> None:
        while not over.wait(0.05):
            visitor.ask_once("GET", "scheduling/session-types")

    visitor = Client(machine)
    walks = [Walk(Client(machine), f"Robin {number}") for number in range(2)]
    with ThreadPoolExecutor() as others:
        looking = others.submit(look_until_it_is_over, visitor)
        walking = [others.submit(walk.go) for walk in walks]
        try:
            for steps in (2, 5):
                wait_until(partial(walks[0].has_done, steps), f"{steps} steps are done")
                machine.kill_database()
                machine.cluster.start()
                machine.a_while_passes()
        finally:
            over.set()
        for other in (looking, *walking):
            other.result()

    assert visitor.refusals[503] > 0
    assert visitor.refusals[502] == 0
    all_is_well(machine, walks)
