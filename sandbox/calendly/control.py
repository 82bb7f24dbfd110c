"""Calendly's part of the control room: what guests and hosts do, done by a program, at any time it likes."""

from datetime import datetime
from typing import Any

from flask import Blueprint, Response, jsonify
from werkzeug.exceptions import BadRequest

from sandbox.calendly.answers import base
from sandbox.calendly.asking import TIMEZONES
from sandbox.calendly.ledger import Ledger, NotAllowed, NotFound, SlotTaken
from sandbox.calendly.people import EVENT_TYPES, EventType, Guest
from sandbox.calendly.resources import absolute, id_of, moment
from sandbox.calendly.subscriptions import TABLE, Subscriptions
from sandbox.calendly.summary import summary
from sandbox.calendly.switches import Switches
from sandbox.control import asked, control_room
from sandbox.faults import Faults
from sandbox.state import Json, State


def control(
    state: State, faults: Faults, ledger: Ledger, subscriptions: Subscriptions, switches: Switches
) -> Blueprint:
    """The shared control room with what can be done at Calendly. Invitees are named by URI or id."""

    def everything() -> Json:
        return {
            "scheduled_events": list(absolute(base(), ledger.scheduled_events).values()),
            "invitees": list(absolute(base(), ledger.invitees).values()),
            "webhook_subscriptions": [absolute(base(), row["resource"]) for row in subscriptions.rows.values()],
        }

    room = control_room(state, faults, subscriptions.courier, ledger=everything, kept_by_reset={TABLE})

    @room.post("/book")
    def _book() -> Response:
        body = asked()
        kind = _event_type(body["event_type"])
        timezone = body.get("timezone", kind.host.timezone)
        if timezone not in TIMEZONES:
            raise BadRequest("timezone is unknown")
        guest = Guest(
            body["name"],
            body["email"],
            timezone,
            body.get("phone", ""),
            tuple((question.name, body.get("answers", {}).get(question.name, "")) for question in kind.questions),
            body.get("tracking", {}),
        )
        with state.changing():
            start = _start(body) or ledger.first_free(kind)
            invitee = ledger.book(kind, guest, start, at_any_time=True)
            return jsonify(summary(ledger, invitee, base()))

    @room.post("/cancel")
    def _cancel() -> Response:
        body = asked()
        with state.changing():
            invitee = ledger.invitee(id_of(body["invitee"]))
            by = _one_of(body, "by", "invitee", "host")
            name = invitee["name"] if by == "invitee" else _host_name(invitee)
            ledger.cancel(invitee, by=name, canceler_type=by, reason=body.get("reason"))
            return jsonify(summary(ledger, invitee, base()))

    @room.post("/reschedule")
    def _reschedule() -> Response:
        body = asked()
        with state.changing():
            old = ledger.invitee(id_of(body["invitee"]))
            kind = _event_type(body["event_type"]) if "event_type" in body else None
            canceled_first = _one_of(body, "order", "canceled_first", "created_first") == "canceled_first"
            new = ledger.reschedule(
                old,
                _start(body) or ledger.first_free(kind or _event_type(ledger.event_of(old)["event_type"])),
                reason=body.get("reason"),
                canceled_first=canceled_first,
                copies_tracking=switches.reschedule_copies_tracking,
                kind=kind,
                at_any_time=True,
            )
            halves = [("invitee.canceled", id_of(old["uri"])), ("invitee.created", id_of(new["uri"]))]
            first, second = halves if canceled_first else reversed(halves)
            subscriptions.keep_order(first, second)
            return jsonify(summary(ledger, new, base()))

    @room.post("/no_show")
    def _no_show() -> Response:
        body = asked()
        with state.changing():
            invitee = ledger.invitee(id_of(body["invitee"]))
            if body.get("undo"):
                ledger.undo_no_show(invitee)
            else:
                ledger.mark_no_show(invitee)
            return jsonify(summary(ledger, invitee, base()))

    @room.get("/switches")
    def _switches() -> Response:
        return jsonify(switches.report())

    @room.post("/switches")
    def _turn() -> Response:
        return _turned(asked())

    @room.post("/shape")
    def _shape() -> Response:
        return _turned({"shape": asked()["shape"]})

    @room.errorhandler(NotFound)
    @room.errorhandler(NotAllowed)
    @room.errorhandler(SlotTaken)
    def _impossible(no: Exception) -> tuple[Response, int]:
        return jsonify(error=f"{type(no).__name__}: {no}"), 409

    def _turned(change: Json) -> Response:
        try:
            switches.turn(change)
        except ValueError as wrong:
            raise BadRequest(str(wrong)) from wrong
        return jsonify(switches.report())

    def _host_name(invitee: Json) -> Any:
        return ledger.event_of(invitee)["event_memberships"][0]["user_name"]

    return room


def _event_type(named: str) -> EventType:
    """By URI, id or slug."""
    found = next((kind for kind in EVENT_TYPES.values() if id_of(named) in (kind.id, kind.slug)), None)
    if found is None:
        raise BadRequest(f"event_type is unknown; there are {', '.join(kind.slug for kind in EVENT_TYPES.values())}")
    return found


def _start(body: Json) -> datetime | None:
    if "start_time" not in body:
        return None
    try:
        return moment(body["start_time"])
    except (ValueError, TypeError) as wrong:
        raise BadRequest("start_time is no ISO 8601 time") from wrong


def _one_of(body: Json, key: str, *choices: str) -> str:
    value = str(body.get(key, choices[0]))
    if value not in choices:
        raise BadRequest(f"{key} is one of {', '.join(choices)}")
    return value
