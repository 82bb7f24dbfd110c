"""Scheduling links that can be booked once (`POST /scheduling_links`)."""

from sandbox.calendly.people import EVENT_TYPES, EventType
from sandbox.state import State


class SingleUseLinks:
    """Kept as `{"event_type", "used"}` under the link's id."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, kind: EventType) -> str:
        """Make a link and give its id."""
        with self._state.changing():
            link = self._state.new_id("", 12).lower()
            self._state.table("single_use_links")[link] = {"event_type": kind.id, "used": False}
            return link

    def path(self, link: str, kind: EventType) -> str:
        return f"/d/{link}/{kind.slug}"

    def event_type(self, link: str) -> EventType | None:
        """What can be booked by it; None if there is no such link or it was used."""
        row = self._state.table("single_use_links").get(link)
        return None if row is None or row["used"] else EVENT_TYPES[row["event_type"]]

    def use(self, link: str) -> None:
        with self._state.changing():
            self._state.table("single_use_links")[link]["used"] = True
