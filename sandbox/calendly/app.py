"""The local Calendly put together."""

from typing import TYPE_CHECKING

from flask import Flask, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug import exceptions
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from sandbox.calendly.answers import Refusal
from sandbox.calendly.api import api, guard
from sandbox.calendly.api_webhooks import api_webhooks
from sandbox.calendly.appointments import appointments
from sandbox.calendly.asking import carried
from sandbox.calendly.control import control
from sandbox.calendly.ledger import Ledger, NotAllowed, NotFound
from sandbox.calendly.letters import Shape
from sandbox.calendly.pages import pages
from sandbox.calendly.single_use import SingleUseLinks
from sandbox.calendly.subscriptions import Subscriptions
from sandbox.calendly.switches import Switches
from sandbox.control import PREFIX
from sandbox.faults import Faults, FaultyCalls
from sandbox.state import State

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

CALLS = {
    "users",
    "event_types",
    "event_type_available_times",
    "scheduling_links",
    "scheduled_events",
    "invitee_no_shows",
    "webhook_subscriptions",
    "sample_webhook_data",
}
"""First words of the paths at api.calendly.com; all others are pages of calendly.com."""

RATE_LIMIT = {"X-RateLimit-Limit": "500", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}


class Calendly:
    """All of it: `app` to serve, `courier` to start, and `tick` for what happens because time passes."""

    def __init__(self, state: State, faults: Faults, *, token: str, shape: Shape = Shape.V2) -> None:
        switches = Switches(state, shape=shape)
        subscriptions = Subscriptions(state, faults, switches)
        ledger = Ledger(state, subscriptions.announce)
        links = SingleUseLinks(state)

        flask = OneAtATime(__name__)
        flask.state = state
        flask.jinja_env.globals.update(carried=carried)
        flask.before_request(guard(token, is_call))
        flask.register_blueprint(api(ledger, links, switches))
        flask.register_blueprint(api_webhooks(ledger, subscriptions))
        flask.register_blueprint(pages(ledger, links))
        flask.register_blueprint(appointments(ledger, faults, switches))
        flask.register_blueprint(control(state, faults, ledger, subscriptions, switches))
        flask.register_error_handler(NotFound, lambda _unknown: _refused(exceptions.NotFound()))
        flask.register_error_handler(NotAllowed, lambda no: _refused(Refusal(403, str(no))))
        flask.register_error_handler(HTTPException, _refused)

        self.courier = subscriptions.courier
        self.tick = subscriptions.watch
        self.app: WSGIApplication = FaultyCalls(flask, faults, is_call=is_call, failure=failure)


class OneAtATime(Flask):
    """Answers under the state's lock, except in the control room, where a flush waits for the listener."""

    state: State

    def dispatch_request(self) -> ResponseReturnValue:
        """Flask's own, locked."""
        if request.path.startswith(PREFIX):
            return super().dispatch_request()
        with self.state.lock:
            return super().dispatch_request()


def is_call(path: str) -> bool:
    """Whether this is a call of the API: only those need a token, and only those fail by faults."""
    return path.lstrip("/").partition("/")[0] in CALLS


def failure(kind: str) -> Response:
    """What Calendly answers when it fails. The body of a 429 is not documented."""
    if kind == "rate_limit":
        return Response("{}", 429, RATE_LIMIT, content_type="application/json")
    return Refusal(500).get_response()


def _refused(error: HTTPException) -> ResponseReturnValue:
    """JSON for a program, a page for a person."""
    if isinstance(error, Refusal):
        return error.get_response()
    if is_call(request.path):
        return Refusal(500 if error.code == 500 else 404).get_response()
    return render_template("problem.html", heading=error.name, text=error.description), error.code or 500
