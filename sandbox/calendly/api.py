"""The calls of API v2 about people, event types and bookings (developer.calendly.com/api-docs)."""

import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox.calendly import resources
from sandbox.calendly.answers import Refusal, base, invalid, many, one
from sandbox.calendly.ledger import Ledger
from sandbox.calendly.people import EVENT_TYPES, HOSTS, ME, EventType
from sandbox.calendly.resources import absolute, id_of, moment, organization_path, stamp
from sandbox.calendly.single_use import SingleUseLinks
from sandbox.calendly.switches import Switches
from sandbox.state import Json

LONGEST_SPAN = timedelta(days=31)
LONGEST_REASON = 10_000


def api(ledger: Ledger, links: SingleUseLinks, switches: Switches) -> Blueprint:
    """Everything but webhook subscriptions."""
    room = Blueprint("api", __name__)

    @room.get("/users/me")
    def _me() -> Response:
        return one(resources.user(ME))

    @room.get("/users/<user_id>")
    def _user(user_id: str) -> Response:
        if user_id not in HOSTS:
            raise Refusal(404)
        return one(resources.user(HOSTS[user_id]))

    @room.get("/event_types")
    def _event_types() -> Response:
        hosts = asked_hosts()
        found = [resources.event_type(kind) for kind in EVENT_TYPES.values() if kind.host.id in hosts]
        if request.args.get("active") == "false":
            found = []
        return many(in_order(found, "name", "created_at"))

    @room.get("/event_types/<event_type_id>")
    def _event_type(event_type_id: str) -> Response:
        if event_type_id not in EVENT_TYPES:
            raise Refusal(404)
        return one(resources.event_type(EVENT_TYPES[event_type_id]))

    @room.get("/event_type_available_times")
    def _available_times() -> Response:
        kind = event_type_named(request.args.get("event_type"), "event_type")
        since, until = asked_moment("start_time"), asked_moment("end_time")
        if since is None or until is None:
            raise invalid("end_time" if since else "start_time", "can't be blank")
        if since <= ledger.now():
            raise invalid("start_time", "must be in the future")
        if not since < until <= since + LONGEST_SPAN:
            raise invalid("end_time", "must be after start_time, by 31 days at most")
        times = [slot.start for slot in ledger.slots(kind, since, until) if not slot.taken]
        return jsonify(
            collection=[
                {
                    "status": "available",
                    "start_time": f"{start:%Y-%m-%dT%H:%M:%SZ}",
                    "invitees_remaining": 1,
                    "scheduling_url": f"{base()}{kind.path}/{start:%Y-%m-%dT%H:%M:%SZ}",
                }
                for start in times
            ]
        )

    @room.post("/scheduling_links")
    def _scheduling_link() -> Response:
        body = posted()
        kind = event_type_named(body.get("owner"), "owner")
        if body.get("owner_type") != "EventType":
            raise invalid("owner_type", "must be EventType")
        if body.get("max_event_count") != 1:
            raise invalid("max_event_count", "must be 1")
        booking_url = base() + links.path(links.add(kind), kind)
        return one({"booking_url": booking_url, "owner": f"/event_types/{kind.id}", "owner_type": "EventType"}, 201)

    @room.get("/scheduled_events")
    def _scheduled_events() -> Response:
        hosts, email = asked_hosts(), request.args.get("invitee_email")
        earliest, latest = asked_moment("min_start_time"), asked_moment("max_start_time")
        with_email = {id_of(each["event"]) for each in ledger.invitees.values() if each["email"] == email}
        found = [
            event
            for event_id, event in ledger.scheduled_events.items()
            if id_of(event["event_memberships"][0]["user"]) in hosts
            and (email is None or event_id in with_email)
            and (earliest is None or event["start_time"] >= stamp(earliest))
            and (latest is None or event["start_time"] <= stamp(latest))
        ]
        return many(in_order(with_asked_status(found), "start_time"))

    @room.get("/scheduled_events/<event_id>")
    def _scheduled_event(event_id: str) -> Response:
        return one(ledger.scheduled_event(event_id))

    @room.get("/scheduled_events/<event_id>/invitees")
    def _invitees(event_id: str) -> Response:
        event, email = ledger.scheduled_event(event_id), request.args.get("email")
        found = [each for each in ledger.invitees.values() if each["event"] == event["uri"]]
        found = [each for each in found if email is None or each["email"] == email]
        return many(in_order(with_asked_status(found), "created_at"))

    @room.get("/scheduled_events/<event_id>/invitees/<invitee_id>")
    def _invitee(event_id: str, invitee_id: str) -> Response:
        invitee = ledger.invitee(invitee_id)
        if id_of(invitee["event"]) != event_id:
            raise Refusal(404)
        return one(invitee)

    @room.post("/scheduled_events/<event_id>/cancellation")
    def _cancellation(event_id: str) -> Response:
        event, reason = ledger.scheduled_event(event_id), posted().get("reason")
        if reason is not None and switches.cancel_reason_refused:
            raise invalid("reason", "is not allowed")
        if reason is not None and (not isinstance(reason, str) or len(reason) > LONGEST_REASON):
            raise invalid("reason", f"must be a string of at most {LONGEST_REASON} characters")
        invitee = next(each for each in ledger.invitees.values() if each["event"] == event["uri"])
        # Whoever asked for it, a call of the API counts as the host's doing.
        return one(ledger.cancel(invitee, by=ME.name, canceler_type="host", reason=reason), 201)

    @room.post("/invitee_no_shows")
    def _mark_no_show() -> Response:
        uri = posted().get("invitee")
        if not isinstance(uri, str):
            raise invalid("invitee", "can't be blank")
        mark = ledger.mark_no_show(ledger.invitee(id_of(uri)))
        return one(mark, 201, {"Location": absolute(base(), mark)["uri"]})

    @room.get("/invitee_no_shows/<no_show_id>")
    def _no_show(no_show_id: str) -> Response:
        return one(ledger.mark_no_show(ledger.absentee(no_show_id)))

    @room.delete("/invitee_no_shows/<no_show_id>")
    def _undo_no_show(no_show_id: str) -> tuple[str, int]:
        ledger.undo_no_show(ledger.absentee(no_show_id))
        return "", 204

    return room


def guard(token: str, is_call: Callable[[str], bool]) -> Callable[[], Response | None]:
    """What stands before every call: the access token, and in front of it Cloudflare, who dislikes Python."""

    def check() -> Response | None:
        if not is_call(request.path):
            return None
        agent = request.headers.get("User-Agent", "")
        if not agent or agent.startswith(("python-requests/", "Python-urllib/")):
            return Response("error code: 1010", 403, content_type="text/plain; charset=UTF-8")
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise Refusal(401)
        return None

    return check


def posted() -> Json:
    """The JSON object in the body; without a body an empty one."""
    body = request.get_json(force=True, silent=True) if request.get_data() else {}
    if not isinstance(body, dict):
        raise Refusal(400)
    return body


def asked_hosts() -> set[str]:
    """The ids of the hosts whose things are asked for, by `user` or `organization`; one of them is needed."""
    user, organization = request.args.get("user"), request.args.get("organization")
    if user is None and organization is None:
        raise Refusal(400, None, ("user", "either user or organization is required"))
    if organization is not None and id_of(organization) != id_of(organization_path()):
        raise Refusal(403)
    if user is None:
        return set(HOSTS)
    if id_of(user) not in HOSTS:
        raise Refusal(403)
    return {id_of(user)}


def event_type_named(uri: Any, parameter: str) -> EventType:
    if not isinstance(uri, str) or not uri:
        raise invalid(parameter, "can't be blank")
    if id_of(uri) not in EVENT_TYPES:
        raise Refusal(404)
    return EVENT_TYPES[id_of(uri)]


def asked_moment(parameter: str) -> Any:
    text = request.args.get(parameter)
    try:
        return None if text is None else moment(text)
    except ValueError:
        raise invalid(parameter, "is not a valid date-time") from None


def with_asked_status(found: list[Json]) -> list[Json]:
    status = request.args.get("status")
    if status not in (None, "active", "canceled"):
        raise invalid("status", "must be one of: active, canceled")
    return [each for each in found if status is None or each["status"] == status]


def in_order(found: list[Json], *keys: str) -> list[Json]:
    """Sorted as `sort` asks, by the first of the keys upwards without it."""
    key, _, direction = request.args.get("sort", f"{keys[0]}:asc").partition(":")
    if key not in keys or direction not in ("asc", "desc"):
        raise invalid("sort", f"must be one of: {', '.join(f'{each}:asc, {each}:desc' for each in keys)}")
    return sorted(found, key=lambda each: str(each[key]), reverse=direction == "desc")
