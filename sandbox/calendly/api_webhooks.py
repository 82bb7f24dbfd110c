"""The calls of API v2 about webhook subscriptions (developer.calendly.com/api-docs, "Webhooks")."""

from flask import Blueprint, Response, jsonify, request

from sandbox.calendly.answers import Refusal, base, invalid, many, one
from sandbox.calendly.api import posted
from sandbox.calendly.ledger import Ledger
from sandbox.calendly.people import HOSTS, ME
from sandbox.calendly.resources import absolute, id_of, organization_path, user_path
from sandbox.calendly.samples import SAMPLES, sample
from sandbox.calendly.subscriptions import Subscriptions
from sandbox.state import Json

EVENTS = (
    *SAMPLES,
    "routing_form_submission.created",
    *(
        f"{thing}.{what}"
        for thing in ("event_type", "meeting_recap", "contact")
        for what in ("created", "updated", "deleted")
    ),
)
"""What can be subscribed to. Of all but the first four the sandbox never has news."""


def api_webhooks(ledger: Ledger, subscriptions: Subscriptions) -> Blueprint:
    """Make, list, read and end subscriptions; there is no call to change one."""
    room = Blueprint("api_webhooks", __name__)

    @room.post("/webhook_subscriptions")
    def _create() -> Response:
        body = posted()
        url, events, key = body.get("url"), body.get("events"), body.get("signing_key")
        if not isinstance(url, str) or not url.startswith(("https://", "http://")):
            raise invalid("url", "must be a valid URL")
        if not isinstance(events, list) or not events or set(map(str, events)) - set(EVENTS):
            raise invalid("events", f"must be some of: {', '.join(EVENTS)}")
        if key is not None and not isinstance(key, str):
            raise invalid("signing_key", "must be a string")
        scope = _scope(body)
        if any(row["resource"]["callback_url"] == url for row in subscriptions.rows.values()):
            raise Refusal(409, "Hook with this url already exists")
        resource = {"callback_url": url, "events": events, **scope, "group": None, "creator": user_path(ME)}
        made = subscriptions.add(resource, base=base(), signing_key=key)
        return one(made, 201, {"Location": absolute(base(), made)["uri"]})

    @room.get("/webhook_subscriptions")
    def _list() -> Response:
        scope = _scope(request.args.to_dict())
        resources = [row["resource"] for row in subscriptions.rows.values()]
        return many([each for each in resources if scope.items() <= each.items()])

    @room.get("/webhook_subscriptions/<subscription_id>")
    def _read(subscription_id: str) -> Response:
        return one(_found(subscription_id)["resource"])

    @room.delete("/webhook_subscriptions/<subscription_id>")
    def _delete(subscription_id: str) -> tuple[str, int]:
        _found(subscription_id)
        subscriptions.remove(subscription_id)
        return "", 204

    @room.get("/sample_webhook_data")
    def _sample() -> Response:
        _scope(request.args.to_dict())
        name = request.args.get("event", "")
        if name not in SAMPLES:
            raise invalid("event", f"must be one of: {', '.join(SAMPLES)}")
        return jsonify(sample(name, base(), ledger.now()))

    def _found(subscription_id: str) -> Json:
        if subscription_id not in subscriptions.rows:
            raise Refusal(404)
        return subscriptions.rows[subscription_id]

    return room


def _scope(asked: Json) -> Json:
    """Whose news: the organization is always named, and with scope `user` the user as well."""
    organization, user, scope = asked.get("organization"), asked.get("user"), asked.get("scope")
    if not isinstance(organization, str) or not organization:
        raise invalid("organization", "can't be blank")
    if id_of(organization) != id_of(organization_path()):
        raise Refusal(403, "You do not have permission")
    if scope == "organization":
        return {"scope": scope, "organization": organization_path(), "user": None}
    if scope != "user":
        raise invalid("scope", "must be one of: organization, user")
    if not isinstance(user, str) or id_of(user) not in HOSTS:
        raise invalid("user", "must be a user of the organization")
    return {"scope": scope, "organization": organization_path(), "user": user_path(HOSTS[id_of(user)])}
