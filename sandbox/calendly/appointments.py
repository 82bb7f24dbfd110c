"""The pages behind the two links that a guest is mailed: cancel, and reschedule."""

from zoneinfo import ZoneInfo

from flask import Blueprint, abort, jsonify, make_response, redirect, render_template
from werkzeug.wrappers import Response

from sandbox.calendly.answers import base
from sandbox.calendly.asking import asked_start, said, wants_json
from sandbox.calendly.choosing import GONE, times_page
from sandbox.calendly.ledger import Ledger, NotAllowed, SlotTaken
from sandbox.calendly.people import EVENT_TYPES, EventType
from sandbox.calendly.resources import id_of, moment, stamp
from sandbox.calendly.summary import summary
from sandbox.calendly.switches import Switches
from sandbox.faults import Faults
from sandbox.state import Json


def appointments(ledger: Ledger, faults: Faults, switches: Switches) -> Blueprint:
    """Whoever has the link may use it: Calendly asks nobody to sign in for it."""
    room = Blueprint("appointments", __name__)

    @room.get("/cancellations/<invitee_id>")
    def _ask_to_cancel(invitee_id: str) -> str:
        return _page("cancel.html", ledger.invitee(invitee_id))

    @room.post("/cancellations/<invitee_id>")
    def _cancel(invitee_id: str) -> Response:
        invitee = ledger.invitee(invitee_id)
        ledger.cancel(invitee, by=invitee["name"], canceler_type="invitee", reason=said("reason") or None)
        if wants_json():
            return jsonify(summary(ledger, invitee, base()))
        return redirect(invitee["cancel_url"], 303)

    @room.get("/reschedulings/<invitee_id>")
    def _choose(invitee_id: str) -> str:
        invitee = ledger.invitee(invitee_id)
        return _times(invitee) if ledger.is_open(invitee) else _page("cancel.html", invitee)

    @room.get("/reschedulings/<invitee_id>/<start>")
    def _ask_to_reschedule(invitee_id: str, start: str) -> str:
        new_start = asked_start(start) or abort(404)
        invitee = ledger.invitee(invitee_id)
        new_start = new_start.astimezone(ZoneInfo(invitee["timezone"]))
        return _page("reschedule.html", invitee, new_start=new_start, start_time=stamp(new_start))

    @room.post("/reschedulings/<invitee_id>")
    def _reschedule(invitee_id: str) -> Response:
        invitee = ledger.invitee(invitee_id)
        try:
            new = ledger.reschedule(
                invitee,
                asked_start(said("start_time")) or abort(404),
                reason=said("reason") or None,
                # Which of its two webhooks is first is not promised.
                canceled_first=faults.coin(),
                copies_tracking=switches.reschedule_copies_tracking,
            )
        except SlotTaken:
            page = jsonify(errors={"start_time": GONE}) if wants_json() else _times(invitee, GONE)
            return make_response(page, 409)
        if wants_json():
            return jsonify(summary(ledger, new, base()))
        # Without the query string: Calendly does not tell the page around it of a reschedule.
        return redirect(f"{_kind_of(new).path}/invitees/{id_of(new['uri'])}", 303)

    @room.errorhandler(NotAllowed)
    def _over(no: NotAllowed) -> tuple[Response | str, int]:
        if wants_json():
            return jsonify(errors={"event": str(no)}), 403
        return render_template("problem.html", heading=str(no)), 403

    def _kind_of(invitee: Json) -> EventType:
        return EVENT_TYPES[id_of(ledger.event_of(invitee)["event_type"])]

    def _times(invitee: Json, problem: str = "") -> str:
        kind = _kind_of(invitee)
        return times_page(ledger, kind, invitee["reschedule_url"], heading=f"Reschedule: {kind.name}", problem=problem)

    def _page(template: str, invitee: Json, **more: object) -> str:
        event = ledger.event_of(invitee)
        return render_template(
            template,
            invitee=invitee,
            event=event,
            open=ledger.is_open(invitee),
            start=moment(event["start_time"]).astimezone(ZoneInfo(invitee["timezone"])),
            **more,
        )

    return room
