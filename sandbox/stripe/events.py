"""Events, the webhook endpoints that hear of them, and the signed letters that carry them."""

import copy
import json

from sandbox.courier import Courier, signature
from sandbox.faults import Faults
from sandbox.state import Json, State
from sandbox.stripe import API_VERSION, shapes
from sandbox.stripe.errors import no_such


class Events:
    """Writes events and posts them. `webhook_secret` is given to every webhook endpoint that is made."""

    def __init__(self, state: State, faults: Faults, *, webhook_secret: str = "") -> None:
        self._state = state
        self._webhook_secret = webhook_secret
        self.courier = Courier(state, faults, headers=self._headers, settled=self._settled)

    def emit(self, kind: str, about: Json, *, request: Json, previous: Json | None = None) -> Json:
        """Write an event about the object as it is now, and a letter for each endpoint that wants this kind."""
        hearing = [endpoint for endpoint in self._endpoints.values() if _wants(endpoint, kind)]
        data: Json = {"object": copy.deepcopy(about)}
        if previous is not None:
            data["previous_attributes"] = previous
        event = shapes.event(
            self._state.new_id("evt_1"),
            created=int(self._state.now()),
            kind=kind,
            data=data,
            request=request,
            pending=len(hearing),
        )
        self._state.table("event")[event["id"]] = event
        self._state.table("delivery")[event["id"]] = {endpoint["id"]: "pending" for endpoint in hearing}
        for endpoint in hearing:
            told = {**event, "api_version": endpoint["api_version"] or API_VERSION}
            self.courier.post(
                subscription_id=endpoint["id"],
                url=endpoint["url"],
                event=kind,
                about=event["id"],
                body=json.dumps(told, indent=2),
            )
        return event

    def delivered_everywhere(self, event_id: str) -> bool:
        """Whether no endpoint still waits for the event, and none has given up on it."""
        return all(how == "delivered" for how in self._state.table("delivery")[event_id].values())

    def create_endpoint(self, asked: Json) -> Json:
        """A new webhook endpoint, with its secret: the only time that the secret is told."""
        secret = self._webhook_secret or self._state.new_id("whsec_", 32)
        endpoint = shapes.webhook_endpoint(self._state.new_id("we_1"), created=int(self._state.now()), asked=asked)
        self._endpoints[endpoint["id"]] = endpoint
        self._state.table("endpoint_secret")[endpoint["id"]] = {"secret": secret}
        return {**endpoint, "secret": secret}

    def update_endpoint(self, endpoint_id: str, asked: Json) -> Json:
        """Change what is named; `disabled` turns it off and on."""
        endpoint = self.endpoint(endpoint_id)
        asked = dict(asked)
        if "disabled" in asked:
            endpoint["status"] = "disabled" if asked.pop("disabled") else "enabled"
        if "metadata" in asked:
            endpoint["metadata"].update(asked.pop("metadata"))
        endpoint.update(asked)
        return endpoint

    def delete_endpoint(self, endpoint_id: str) -> Json:
        """Forget the endpoint: it gets no more letters."""
        del self._endpoints[self.endpoint(endpoint_id)["id"]]
        return {"id": endpoint_id, "object": "webhook_endpoint", "deleted": True}

    def endpoint(self, endpoint_id: str) -> Json:
        """The endpoint. Raises Stripe's `resource_missing`."""
        if endpoint_id not in self._endpoints:
            raise no_such("webhook_endpoint", endpoint_id)
        return self._endpoints[endpoint_id]

    @property
    def _endpoints(self) -> dict[str, Json]:
        return self._state.table("webhook_endpoint")

    def _headers(self, endpoint_id: str, timestamp: int, body: bytes) -> dict[str, str] | None:
        with self._state.lock:
            endpoint = self._endpoints.get(endpoint_id)
            if endpoint is None or endpoint["status"] != "enabled":
                return None
            secret = self._state.table("endpoint_secret")[endpoint_id]["secret"]
        # v0 is a scheme for test events that must be ignored; a receiver that takes it would take a forgery.
        v1, v0 = signature(secret, timestamp, body), signature("not the secret", timestamp, body)
        return {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": f"t={timestamp},v1={v1},v0={v0}",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }

    def _settled(self, letter: Json, delivered: bool) -> None:
        ways = self._state.table("delivery").get(letter["about"])
        event = self._state.table("event").get(letter["about"])
        if ways is None or event is None or ways.get(letter["subscription_id"]) == "delivered":
            return  # a second copy, or a letter from before a reset
        ways[letter["subscription_id"]] = "delivered" if delivered else "failed"
        event["pending_webhooks"] = sum(how == "pending" for how in ways.values())


def _wants(endpoint: Json, kind: str) -> bool:
    return endpoint["status"] == "enabled" and ("*" in endpoint["enabled_events"] or kind in endpoint["enabled_events"])
