"""The local Calendly as a process, and its control room."""

import os
import signal
import subprocess
import sys
import time

import pytest
import requests

from sandbox.tests.test_calendly.conftest import TOKEN, Client


def started(state, **environment):
    """Start it on a free port; gives the process and a client of it."""
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "sandbox.calendly", "--port", "0", "--state", str(state)],
        env=os.environ | {"SANDBOX_CALENDLY_TOKEN": TOKEN} | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("Calendly sandbox is ready on http://127.0.0.1:")
    return process, Client(line.split()[-1])


def ended(process):
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=5)
    assert time.monotonic() - begin < 1
    assert process.returncode == 0


def test_a_restart_knows_bookings_subscriptions_and_letters_that_were_not_delivered(tmp_path, listener):
    process, calendly = started(tmp_path / "state.json", SANDBOX_FAULTS="drop=1", SANDBOX_CALENDLY_SHAPE="contract")
    calendly.subscribe(listener.url)
    booked = calendly.book()
    before = calendly.room_ledger()
    ended(process)
    process, calendly = started(tmp_path / "state.json")
    after = calendly.room_ledger()
    assert [each["status"] for each in after["invitees"]] == ["active"]
    assert after["invitees"][0]["uri"].endswith(booked["invitee_id"])
    assert len(after["webhook_subscriptions"]) == len(before["webhook_subscriptions"]) == 1
    calendly.room("flush")
    assert listener.hear()[0].body["payload"]["data"]["event"]["uri"] == booked["event_uri"]
    ended(process)


def test_the_control_room_does_what_guests_do_and_answers_with_ids_and_uris(calendly):
    booked = calendly.book(event_type="code-review", start_time="2030-01-01T03:00:00+01:00")
    assert booked["start_time"] == "2030-01-01T02:00:00.000000Z"
    moved = calendly.room("reschedule", invitee=booked["invitee_uri"], start_time="2030-01-02T03:00:00Z")
    assert moved["invitee_id"] != booked["invitee_id"]
    canceled = calendly.room("cancel", invitee=moved["invitee_id"])
    assert (canceled["invitee_uri"], canceled["status"]) == (moved["invitee_uri"], "canceled")
    ledger = calendly.room_ledger()
    assert [each["uri"] for each in ledger["scheduled_events"]] == [booked["event_uri"], moved["event_uri"]]


@pytest.mark.parametrize(
    ("what", "body", "status"),
    [
        ("book", {}, 400),
        ("book", {"event_type": "nothing", "name": "C", "email": "c@example.com"}, 400),
        ("book", {"event_type": "intro", "name": "C", "email": "c@example.com", "start_time": "soon"}, 400),
        ("book", {"event_type": "intro", "name": "C", "email": "c@example.com", "timezone": "Mars"}, 400),
        ("cancel", {"invitee": "x"}, 409),
        ("cancel", {"invitee": "x", "by": "nobody"}, 409),
        ("shape", {"shape": "v3"}, 400),
        ("switches", {"cancel_reason_refused": "yes"}, 400),
        ("faults", {"rates": {"drip": 1}}, 400),
    ],
)
def test_the_control_room_says_what_it_cannot_do(calendly, what, body, status):
    answer = calendly.post(f"/_sandbox/{what}", body)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_reset_forgets_all_but_the_subscriptions(calendly, listener):
    calendly.subscribe(listener.url)
    calendly.book()
    listener.hear()
    calendly.room("shape", shape="contract")
    calendly.room("reset", seed="other")
    ledger = calendly.room_ledger()
    assert (ledger["invitees"], ledger["scheduled_events"], len(ledger["webhook_subscriptions"])) == ([], [], 1)
    calendly.book()
    assert "scheduled_event" in listener.hear()[0].body["payload"]


def test_the_control_room_needs_no_token_and_no_agent(calendly):
    assert requests.get(f"{calendly.base}/_sandbox/ledger", timeout=5).status_code == 200
