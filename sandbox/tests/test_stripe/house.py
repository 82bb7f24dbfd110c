"""A local Stripe over real HTTP for tests, a letterbox for its webhooks, and the means to talk to both.

Every answer that passes through here, and at the end everything in the books, is held against Stripe's description.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
import stripe
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from payments.tests.stripe_schema import validate_answer, validate_response
from sandbox.faults import Faults
from sandbox.serving import QuietHandler, running
from sandbox.state import State
from sandbox.stripe.app import DEFAULT_KEY, local_stripe

SECRET = "whsec_of_every_endpoint"
TALK = {
    "mode": "payment",
    "line_items[0][price_data][currency]": "eur",
    "line_items[0][price_data][unit_amount]": "4500",
    "line_items[0][price_data][product_data][name]": "A talk of one hour",
    "line_items[0][quantity]": "1",
    "success_url": "https://shop.example/thanks?s={CHECKOUT_SESSION_ID}",
    "cancel_url": "https://shop.example/back",
    "client_reference_id": "bk_1",
    "metadata[intent]": "in_1",
    "payment_intent_data[metadata][intent]": "in_1",
}
"""A session as a booking asks for it."""


@dataclass
class Letterbox:
    """Hears webhooks. `refusals` are statuses to answer first, then 200."""

    url: str = ""
    refusals: list[int] = field(default_factory=list)
    letters: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        self.letters.append((dict(request.headers), request.get_data()))
        status = self.refusals.pop(0) if self.refusals else 200
        # A redirect leads back here: who follows it is heard twice.
        return Response(status=status, headers={"Location": self.url})(environ, start_response)

    def events(self) -> list[dict[str, Any]]:
        """The events heard so far, in the order of their arrival."""
        return [json.loads(body) for _, body in self.letters]

    def kinds(self) -> list[str]:
        """Their types."""
        return [event["type"] for event in self.events()]

    def wait_for(self, letters: int) -> None:
        """Wait until so many have come, five seconds at most."""
        ends = time.monotonic() + 5
        while len(self.letters) < letters:
            assert time.monotonic() < ends, f"{len(self.letters)} of {letters} came: {self.kinds()}"
            time.sleep(0.01)


@dataclass
class House:
    """One running local Stripe."""

    base: str

    @property
    def client(self) -> stripe.StripeClient:
        """Stripe's own SDK, as the service uses it."""
        return stripe.StripeClient(
            DEFAULT_KEY,
            base_addresses={"api": self.base},
            stripe_version="2026-05-27.dahlia",
            max_network_retries=0,
        )

    def call(self, method: str, path: str, form: Any = None, *, key: str | None = None, **more: Any) -> Any:
        """A raw call with our key; the answer is checked against Stripe's description."""
        headers = {"Authorization": f"Bearer {DEFAULT_KEY}", **more.pop("headers", {})}
        if key:
            headers["Idempotency-Key"] = key
        where = {"params": form} if method == "GET" else {"data": form}
        answer = requests.request(method, self.base + path, headers=headers, timeout=10, **where, **more)
        if answer.ok:
            validate_answer(method, path, answer.json())
        else:
            validate_response("error", answer.json())
        return answer

    def get(self, path: str, **form: Any) -> Any:
        """The body of a GET that must succeed."""
        answer = self.call("GET", path, form)
        assert answer.ok, answer.text
        return answer.json()

    def post(self, path: str, form: Any = None, **more: Any) -> Any:
        """The body of a POST that must succeed."""
        answer = self.call("POST", path, form, **more)
        assert answer.ok, answer.text
        return answer.json()

    def refused(self, path: str, form: Any = None, **more: Any) -> dict[str, Any]:
        """The error of a POST that must be refused, with its `status` put beside it."""
        answer = self.call("POST", path, form, **more)
        assert answer.status_code >= 400, answer.text
        error: dict[str, Any] = answer.json()["error"]
        return {**error, "status": answer.status_code}

    def control(self, path: str, **body: Any) -> Any:
        """A POST to the control room that must succeed."""
        answer = requests.post(f"{self.base}/_sandbox/{path}", json=body, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def ledger(self) -> Any:
        """The truth."""
        return requests.get(f"{self.base}/_sandbox/ledger", timeout=10).json()

    def pass_time(self, seconds: float) -> None:
        """Move Stripe's clock."""
        self.control("clock", advance_seconds=seconds)

    def pass_time_until(self, condition: Callable[[], bool]) -> None:
        """Move Stripe's clock on until something has happened, ten real seconds at most."""
        ends = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < ends, "it did not happen"
            self.pass_time(20)
            time.sleep(0.02)

    def session(self, **more: str) -> Any:
        """A new session for the talk."""
        return self.post("/v1/checkout/sessions", {**TALK, **more})

    def paid(self, **more: Any) -> Any:
        """A session that was paid, and its PaymentIntent's id beside it."""
        return self.control(f"checkout/{self.session()['id']}", action="pay", **more)

    def listen(self, box: Letterbox, *kinds: str) -> Any:
        """A webhook endpoint at the letterbox, for these kinds or all."""
        form = {"url": box.url, **{f"enabled_events[{n}]": kind for n, kind in enumerate(kinds or ["*"])}}
        return self.post("/v1/webhook_endpoints", form)

    def flush(self, order: list[str] | None = None) -> Any:
        """Have everything delivered now."""
        return self.control("flush", **({} if order is None else {"order": order}))["delivered"]

    def check_books(self) -> None:
        """Hold every object against Stripe's description."""
        for kind, rows in self.ledger()["objects"].items():
            for row in rows:
                validate_response(kind, row)
                if kind == "event":
                    validate_response(row["data"]["object"]["object"], row["data"]["object"])


@contextmanager
def a_house() -> Iterator[tuple[House, Callable[[], None]]]:
    """A local Stripe in which nothing goes wrong by itself, and what makes it as new."""
    state, faults = State(seed="house"), Faults("house")
    local = local_stripe(state, faults, webhook_secret=SECRET)

    def as_new() -> None:
        state.reset(seed="house", keep=())
        faults.configure({"seed": "house", "rates": {}, "next": []})

    with running(local.app, local.courier, tick=local.tick) as base:
        yield House(base), as_new


@contextmanager
def a_letterbox() -> Iterator[Letterbox]:
    """A letterbox that is open."""
    box = Letterbox()
    server = make_server("127.0.0.1", 0, box, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    box.url = f"http://127.0.0.1:{server.server_port}/webhooks/stripe"
    yield box
    server.shutdown()
    server.server_close()
    thread.join()
