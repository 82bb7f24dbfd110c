"""The bodies of webhooks: Calendly's real one, and the two that the service's contract imagines."""

import enum

from sandbox.calendly.ledger import News
from sandbox.calendly.people import ME
from sandbox.calendly.resources import absolute, user_path
from sandbox.state import Json


class Shape(enum.StrEnum):
    """Which body a webhook has: `v2` is what Calendly sends, the others are sections 3.2 and 1.2 of the contract."""

    V2 = "v2"
    CONTRACT = "contract"
    CONTRACT_1_2 = "contract-1.2"


def letter(shape: Shape, base: str, at: str, news: News) -> Json:
    """The body of the webhook that tells these news, with URIs that begin with `base`, written at the stamp `at`.

    The contract has no no-shows: those are always written as Calendly writes them.
    """
    if shape is Shape.V2 or news.name.startswith("invitee_no_show"):
        return _v2(base, at, news)
    invitee, scheduled_event = absolute(base, news.invitee), absolute(base, news.scheduled_event)
    data = {"event": _contract_event(scheduled_event, invitee), "invitee": _contract_invitee(invitee)}
    payload = {"event": news.name, "uri": invitee["uri"], "created_at": at, "data": data}
    if shape is Shape.CONTRACT_1_2:
        data["tracking"] = _contract_tracking(invitee)
        return {"payload": payload}
    data["invitee"]["tracking"] = _contract_tracking(invitee)
    return {"event": news.name, "payload": payload}


def _v2(base: str, at: str, news: News) -> Json:
    """The scheduled event lacks what only REST has, and a new one's conference is still being set up."""
    event = {key: value for key, value in news.scheduled_event.items() if key != "calendar_event"}
    event["event_memberships"] = [
        {key: value for key, value in membership.items() if not key.startswith("buffered_")}
        for membership in event["event_memberships"]
    ]
    if news.name == "invitee.created" and "status" in event["location"]:
        event["location"] = event["location"] | {"status": "processing"}
    return {
        "event": news.name,
        "created_at": at,
        "created_by": base + user_path(ME),
        "payload": absolute(base, {**news.invitee, "scheduled_event": event}),
    }


def _contract_event(event: Json, invitee: Json) -> Json:
    where = event["location"]
    body = {
        "uri": event["uri"],
        "name": event["name"],
        "start_time": event["start_time"],
        "end_time": event["end_time"],
        "location": {"type": where["type"], "location": where.get("location") or where["join_url"]},
        "canceled": event["status"] == "canceled",
    }
    if body["canceled"] and not invitee["rescheduled"]:
        body["canceler_name"] = invitee["cancellation"]["canceled_by"]
        body["cancel_reason"] = invitee["cancellation"]["reason"] or ""
        body["cancellation_url"] = invitee["cancel_url"]
    return body


def _contract_invitee(invitee: Json) -> Json:
    """What the contract calls optional is left out where there is nothing to say."""
    body = {key: invitee[key] for key in ("uri", "email", "name", "timezone", "rescheduled")}
    body["canceled"] = invitee["status"] == "canceled"
    body["questions_and_answers"] = [
        {"question": each["question"], "answer": each["answer"]} for each in invitee["questions_and_answers"]
    ]
    body |= {key: invitee[key] for key in ("text_reminder_number", "old_invitee", "new_invitee") if invitee[key]}
    if "cancellation" in invitee:
        body["cancellation"] = {
            "canceled_by": invitee["cancellation"]["canceled_by"],
            "reason": invitee["cancellation"]["reason"] or "",
            "rescheduled": invitee["rescheduled"],
        }
    return body


def _contract_tracking(invitee: Json) -> dict[str, str]:
    """The contract has no `salesforce_uuid`, and a key of its own for the id that really travels in `utm_content`."""
    tracking = {key: value for key, value in invitee["tracking"].items() if value and key != "salesforce_uuid"}
    if "utm_content" in tracking:
        tracking["booking_flow_id"] = tracking.pop("utm_content")
    return tracking
