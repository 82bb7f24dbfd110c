"""The control room of a local provider, under `/_sandbox/`: for tests and for the curious, never part of its API."""

from collections.abc import Callable, Collection
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from sandbox.courier import Courier
from sandbox.faults import Faults
from sandbox.state import Json, State

PREFIX = "/_sandbox/"


def control_room(
    state: State, faults: Faults, courier: Courier, *, ledger: Callable[[], Json], kept_by_reset: Collection[str]
) -> Blueprint:
    """What both providers' control rooms share; the provider adds its own routes to the blueprint.

    `ledger` tells the truth: what the provider holds, whatever was answered or delivered. `kept_by_reset` are the
    tables that outlive a reset (the webhook subscriptions).
    """
    room = Blueprint("control_room", __name__, url_prefix=PREFIX.rstrip("/"))

    @room.get("/ledger")
    def _ledger() -> Response:
        with state.lock:
            return jsonify(ledger())

    @room.get("/faults")
    def _faults() -> Response:
        return jsonify(faults.report())

    @room.post("/faults")
    def _set_faults() -> Response:
        try:
            faults.configure(asked())
        except (ValueError, TypeError, AttributeError) as wrong:
            raise BadRequest(str(wrong)) from wrong
        return jsonify(faults.report())

    @room.get("/letters")
    def _letters() -> Response:
        return jsonify(letters=courier.waiting())

    @room.post("/flush")
    def _flush() -> Response:
        return jsonify(delivered=courier.flush(asked().get("order")))

    @room.post("/clock")
    def _clock() -> Response:
        state.advance(float(asked()["advance_seconds"]))
        courier.wake()
        return jsonify(now=state.now())

    @room.post("/reset")
    def _reset() -> Response:
        seed = str(asked().get("seed", state.seed))
        state.reset(seed=seed, keep=kept_by_reset)
        faults.configure({"seed": seed, "rates": {}, "next": []})
        return jsonify(seed=seed)

    @room.errorhandler(BadRequest)
    @room.errorhandler(KeyError)
    def _refused(wrong: Exception) -> tuple[Response, int]:
        said = wrong.description if isinstance(wrong, BadRequest) else f"{wrong.args[0]} is missing or unknown"
        return jsonify(error=said), 400

    return room


def asked() -> dict[str, Any]:
    """The JSON object that was posted to the control room; nothing is an empty one."""
    body = request.get_json(force=True, silent=True) if request.get_data() else {}
    if not isinstance(body, dict):
        raise BadRequest("post a JSON object, or nothing")
    return body
