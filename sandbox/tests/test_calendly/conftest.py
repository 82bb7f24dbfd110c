"""A local Calendly over real HTTP, in threads of the test, and somebody who listens to its webhooks."""

import json
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from sandbox.calendly.app import Calendly
from sandbox.faults import Faults
from sandbox.serving import running
from sandbox.state import State

TOKEN = "a token of the tests"
KEY = "a signing key of the tests"
EVENTS = ["invitee.created", "invitee.canceled", "invitee_no_show.created", "invitee_no_show.deleted"]
CONSULTATION = "00000000-0000-4000-8000-000000000e60"
BO = "00000000-0000-4000-8000-0000000000a1"
MIA = "00000000-0000-4000-8000-0000000000a2"


@dataclass
class Delivery:
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Listener:
    """A service that is posted webhooks. `answers` are the statuses of its next answers, after them it says 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    _heard: "queue.Queue[Delivery]" = field(default_factory=queue.Queue)

    def hear(self, how_many: int = 1, seconds: float = 5.0) -> list[Delivery]:
        """The next so many deliveries; fails if they do not come."""
        return [self._heard.get(timeout=seconds) for _ in range(how_many)]

    def hears_nothing(self, seconds: float = 0.4) -> bool:
        try:
            self._heard.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def take(self, delivery: Delivery) -> int:
        self._heard.put(delivery)
        return self.answers.pop(0) if self.answers else 200


@pytest.fixture
def listener() -> Iterator[Listener]:
    one = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(one.take(Delivery(dict(self.headers), raw)))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    one.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield one
    server.shutdown()
    server.server_close()
    thread.join()


class Client:
    """Calls the local Calendly as a service would, with a token and a name of its own."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.organization = f"{base}/organizations/SANDBOX"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update({"Authorization": f"Bearer {TOKEN}", "User-Agent": "tests"})

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.session.get(self.base + path, params=query, timeout=5)

    def post(self, path: str, body: Any = None) -> requests.Response:
        return self.session.post(self.base + path, json=body, timeout=10)

    def delete(self, path: str) -> requests.Response:
        return self.session.delete(self.base + path, timeout=5)

    def room(self, what: str, **body: Any) -> Any:
        """Do something in the control room."""
        answer = self.post(f"/_sandbox/{what}", body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def room_ledger(self) -> Any:
        """The truth, whatever was answered or delivered."""
        return self.get("/_sandbox/ledger").json()

    def book(self, **more: Any) -> Any:
        booking = {"event_type": "consultation", "name": "Casey Client", "email": "casey@example.com"}
        return self.room("book", **(booking | more))

    def subscribe(self, url: str, **more: Any) -> Any:
        asked = {"url": url, "events": EVENTS, "organization": self.organization, "scope": "organization"}
        answer = self.post("/webhook_subscriptions", asked | {"signing_key": KEY} | more)
        assert answer.status_code == 201, answer.text
        return answer.json()["resource"]

    def fill_in(self, path: str, *, as_program: bool = False, **form: str) -> requests.Response:
        """Post a form of the pages, as a browser without JavaScript does, or as curl."""
        headers = {"Accept": "application/json" if as_program else "text/html"}
        return self.session.post(self.base + path, data=form, headers=headers, timeout=5)


@pytest.fixture(scope="session")
def served() -> Iterator[str]:
    state = State(seed="tests")
    whole = Calendly(state, Faults(state.seed), token=TOKEN)
    with running(whole.app, whole.courier, tick=whole.tick) as base:
        yield base


@pytest.fixture
def calendly(served: str) -> Iterator[Client]:
    """One server serves all tests; each finds it as if it had just been started."""
    client = Client(served)
    with client.session:
        yield client
        for subscription in client.room_ledger()["webhook_subscriptions"]:
            client.delete(subscription["uri"].removeprefix(client.base))
        client.room("reset", seed="tests")
