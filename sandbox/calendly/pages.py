"""The pages that lead to a booking: hosts, a month of slots, the form, the confirmation.

All of them work without JavaScript. Each carries its query string along, as a booking's tracking is taken from it.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, jsonify, make_response, redirect, render_template
from werkzeug.wrappers import Response

from sandbox.calendly.answers import base
from sandbox.calendly.asking import Unclear, answer_to, asked_start, carried, embedded, guest, said, wants_json, zone_or
from sandbox.calendly.choosing import GONE, times_page
from sandbox.calendly.ledger import Ledger, SlotTaken
from sandbox.calendly.people import EVENT_TYPES, HOSTS, EventType, event_type_at, host_by_slug
from sandbox.calendly.resources import id_of, moment, stamp
from sandbox.calendly.single_use import SingleUseLinks
from sandbox.calendly.summary import summary


def pages(ledger: Ledger, links: SingleUseLinks) -> Blueprint:
    """A scheduling page is at `/<host>/<event type>`; a single-use link leads to the same one under `/d/`."""
    room = Blueprint("pages", __name__)

    @room.get("/")
    def _front() -> str:
        return render_template("hosts.html", hosts=HOSTS.values(), kinds=EVENT_TYPES.values())

    @room.get("/<host_slug>")
    def _host(host_slug: str) -> str:
        host = host_by_slug(host_slug) or abort(404)
        return render_template("hosts.html", hosts=[host], kinds=EVENT_TYPES.values())

    @room.get("/<host_slug>/<slug>")
    def _times(host_slug: str, slug: str) -> str:
        path = f"/{host_slug}/{slug}"
        return _choose(event_type_at(path) or abort(404), path)

    @room.get("/d/<link>/<slug>")
    def _times_once(link: str, slug: str) -> str:
        return _choose(links.event_type(link) or abort(404), f"/d/{link}/{slug}")

    @room.get("/<host_slug>/<slug>/<start>")
    def _form(host_slug: str, slug: str, start: str) -> str:
        path = f"/{host_slug}/{slug}"
        return _fill_in(event_type_at(path) or abort(404), path, asked_start(start) or abort(404))

    @room.get("/d/<link>/<slug>/<start>")
    def _form_once(link: str, slug: str, start: str) -> str:
        return _fill_in(links.event_type(link) or abort(404), f"/d/{link}/{slug}", asked_start(start) or abort(404))

    @room.post("/<host_slug>/<slug>")
    def _book(host_slug: str, slug: str) -> Response:
        path = f"/{host_slug}/{slug}"
        return _booking(event_type_at(path) or abort(404), path)

    @room.post("/d/<link>/<slug>")
    def _book_once(link: str, slug: str) -> Response:
        answer = _booking(links.event_type(link) or abort(404), f"/d/{link}/{slug}")
        if answer.status_code < 400:
            links.use(link)
        return answer

    @room.get("/<host_slug>/<slug>/invitees/<invitee_id>")
    def _booked(host_slug: str, slug: str, invitee_id: str) -> str:
        invitee = ledger.invitee(invitee_id)
        event = ledger.event_of(invitee)
        payload = {"event": {"uri": base() + event["uri"]}, "invitee": {"uri": base() + invitee["uri"]}}
        return render_template(
            "booked.html",
            invitee=invitee,
            event=event,
            start=moment(event["start_time"]).astimezone(ZoneInfo(invitee["timezone"])),
            message={"event": "calendly.event_scheduled", "payload": payload} if embedded() else None,
        )

    def _choose(kind: EventType, path: str, problem: str = "") -> str:
        return times_page(ledger, kind, path, heading=kind.name, problem=problem)

    def _booking(kind: EventType, path: str) -> Response:
        """Book what the form says; without a start the next free one, so that a program need not choose."""
        try:
            text = said("start_time")
            start = (asked_start(text) or abort(404)) if text else ledger.first_free(kind)
            invitee = ledger.book(kind, guest(kind), start)
        except Unclear as unclear:
            page = jsonify(errors=unclear.wrong) if wants_json() else _fill_in(kind, path, start, unclear.wrong)
            return make_response(page, 400)
        except SlotTaken:
            page = jsonify(errors={"start_time": GONE}) if wants_json() else _choose(kind, path, GONE)
            return make_response(page, 409)
        if wants_json():
            return make_response(jsonify(summary(ledger, invitee, base())), 201)
        return redirect(carried(f"{kind.path}/invitees/{id_of(invitee['uri'])}"), 303)

    return room


def _fill_in(kind: EventType, path: str, start: datetime, wrong: dict[str, str] | None = None) -> str:
    return render_template(
        "form.html",
        kind=kind,
        path=path,
        start=start.astimezone(zone_or(kind.host.timezone)),
        start_time=stamp(start),
        wrong=wrong or {},
        said=said,
        answer_to=answer_to,
    )
