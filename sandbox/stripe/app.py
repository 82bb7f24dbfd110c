"""Puts the local Stripe together."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.wrappers import Response

from sandbox.control import control_room
from sandbox.courier import Courier
from sandbox.faults import Faults, FaultyCalls
from sandbox.state import State
from sandbox.stripe.api import PREFIX, api
from sandbox.stripe.clockwork import catch_up
from sandbox.stripe.events import Events
from sandbox.stripe.idempotency import BROKEN, Keys
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.pages import pages
from sandbox.stripe.rooms import add_rooms, truth

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

DEFAULT_KEY = "sk_test_LocalSandbox000000000000"
"""Accepted unless another is configured. It opens nothing but the sandbox."""

OUTLIVE_A_RESET = ("webhook_endpoint", "endpoint_secret")


@dataclass(frozen=True, slots=True)
class LocalStripe:
    """What `sandbox.serving` runs."""

    app: "WSGIApplication"
    courier: Courier
    tick: Callable[[], None]


def local_stripe(
    state: State, faults: Faults, *, secret_key: str = DEFAULT_KEY, webhook_secret: str = ""
) -> LocalStripe:
    """A Stripe with these books. Every webhook endpoint gets the `webhook_secret`; without one each has its own."""
    events = Events(state, faults, webhook_secret=webhook_secret)
    ledger = Ledger(state, events)
    app = Flask(__name__)
    app.register_blueprint(api(ledger, Keys(state, faults), secret_key))
    app.register_blueprint(pages(ledger))
    room = control_room(state, faults, events.courier, ledger=lambda: truth(ledger), kept_by_reset=OUTLIVE_A_RESET)
    add_rooms(room, ledger)
    app.register_blueprint(room)
    faulty = FaultyCalls(
        app.wsgi_app,
        faults,
        is_call=lambda path: path.startswith(PREFIX),
        failure=lambda kind: _failure(kind, state, faults),
        left_to_app=("slow", "fail_saved", "fail_after"),
    )
    return LocalStripe(faulty, events.courier, lambda: catch_up(ledger))


def _failure(kind: str, state: State, faults: Faults) -> Response:
    """What Stripe's outermost layer says, before any key is looked at: 429, or a 5xx of a gateway."""
    if kind == "rate_limit":
        locked = faults.coin()
        said = (
            "This object cannot be accessed right now because another API request or Stripe process is currently"
            " accessing it."
            if locked
            else "Request rate limit exceeded."
        )
        code = "lock_timeout" if locked else "rate_limit"
        body, status = {"error": {"code": code, "message": said, "type": "invalid_request_error"}}, 429
    else:
        body, status = BROKEN, 503
    response = Response(json.dumps(body, indent=2), status, content_type="application/json")
    response.headers["Request-Id"] = state.new_id("req_", 14)
    if faults.coin():
        response.headers["Stripe-Should-Retry"] = "true"
    return response
