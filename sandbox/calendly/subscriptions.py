"""Who wants to hear of what, and the letters that go to them.

The table of subscriptions outlives a reset of the sandbox, as it does not hold bookings but belongs to the listener.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from sandbox import courier
from sandbox.calendly.ledger import News
from sandbox.calendly.letters import letter
from sandbox.calendly.resources import id_of, moment, stamp
from sandbox.calendly.switches import Switches
from sandbox.courier import OVERTAKEN_AFTER, Courier, signature
from sandbox.faults import Faults
from sandbox.state import Json, State

TABLE = "subscriptions"

GIVES_UP_AFTER = timedelta(hours=24)
"""How long a subscription may fail before Calendly disables it. Only the control room's clock makes it shorter."""

WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, *[60.0] * 1500)
"""Seconds between the tries of one letter. How they really grow is not documented; they outlast GIVES_UP_AFTER."""


class Subscriptions:
    """Webhook subscriptions, each kept as `{"resource", "base", "signing_key"}`.

    `base` is the origin under which the listener asked for it, and begins the URIs in its letters.
    """

    def __init__(self, state: State, faults: Faults, switches: Switches) -> None:
        self._state = state
        self._switches = switches
        self.courier = Courier(state, faults, headers=self._headers, waits=WAITS)

    @property
    def rows(self) -> dict[str, Json]:
        return self._state.table(TABLE)

    def add(self, resource: Json, *, base: str, signing_key: str | None) -> Json:
        """Begin a subscription and give it. The key is never shown again."""
        with self._state.changing():
            subscription_id, now = self._state.new_uuid(), stamp(self._now())
            resource = {
                "uri": f"/webhook_subscriptions/{subscription_id}",
                **resource,
                "created_at": now,
                "updated_at": now,
                "retry_started_at": None,
                "state": "active",
            }
            self.rows[subscription_id] = {"resource": resource, "base": base, "signing_key": signing_key}
            return resource

    def remove(self, subscription_id: str) -> None:
        with self._state.changing():
            del self.rows[subscription_id]

    def announce(self, news: list[News]) -> None:
        """Write to everybody who wants to hear. Several news leave in this order, but may overtake one another."""
        with self._state.changing():
            for each in news:
                for subscription_id, row in self._listeners(each):
                    body = letter(self._switches.shape, row["base"], stamp(self._now()), each)
                    self.courier.post(
                        subscription_id=subscription_id,
                        url=row["resource"]["callback_url"],
                        event=each.name,
                        about=id_of(each.invitee["uri"]),
                        body=json.dumps(body),
                    )

    def keep_order(self, first: tuple[str, str], second: tuple[str, str]) -> None:
        """Of two letters just written, hold the second back until one has arrived where it goes to as well.

        Letters are named by the kind of event and the id of the invitee.
        """
        waiting = list(self._state.table(courier.TABLE).values())
        ahead = {each["url"] for each in waiting if (each["event"], each["about"]) == first}
        for each in waiting:
            if (each["event"], each["about"]) == second and each["url"] in ahead:
                each |= {"behind": True, "due": self._state.now() + OVERTAKEN_AFTER}

    def watch(self) -> None:
        """Note which subscriptions fail, and disable those that have failed for too long."""
        with self._state.lock:
            failing = {each["subscription_id"] for each in self.courier.waiting() if each["tries"] and not each["held"]}
            for subscription_id, row in self.rows.items():
                change = self._judged(row["resource"], subscription_id in failing)
                if change:
                    with self._state.changing():
                        row["resource"] |= change

    def _judged(self, resource: Json, fails: bool) -> Json:
        """What has to change in a subscription."""
        since, now = resource["retry_started_at"], self._now()
        if fails and since is None:
            return {"retry_started_at": stamp(now)}
        if fails and resource["state"] == "active" and now - moment(since) > GIVES_UP_AFTER:
            return {"state": "disabled", "updated_at": stamp(now)}
        if not fails and since is not None and resource["state"] == "active":
            return {"retry_started_at": None}
        return {}

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._state.now(), UTC)

    def _listeners(self, news: News) -> Iterator[tuple[str, Json]]:
        host = news.scheduled_event["event_memberships"][0]["user"]
        for subscription_id, row in self.rows.items():
            resource = row["resource"]
            if (
                resource["state"] == "active"
                and news.name in resource["events"]
                and (resource["scope"] == "organization" or resource["user"] == host)
            ):
                yield subscription_id, row

    def _headers(self, subscription_id: str, timestamp: int, body: bytes) -> Mapping[str, str] | None:
        row = self.rows.get(subscription_id)
        if row is None or row["resource"]["state"] != "active":
            return None
        headers = {"Content-Type": "application/json", "User-Agent": "Calendly sandbox"}
        if row["signing_key"]:
            signed = signature(row["signing_key"], timestamp, body)
            headers["Calendly-Webhook-Signature"] = f"t={timestamp},v1={signed}"
        return headers
