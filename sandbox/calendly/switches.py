"""In what the sandbox follows one report of Calendly or another, where reports differ. A reset puts them back."""

from collections.abc import Mapping
from typing import Any

from sandbox.calendly.letters import Shape
from sandbox.state import Json, State

DEFAULTS: Json = {
    # The body that webhooks have.
    "shape": Shape.V2.value,
    # One project measured a 400 for a cancellation with a reason; the documentation knows nothing of it.
    "cancel_reason_refused": False,
    # Whether the new invitee of a reschedule has the tracking of the old one is not documented.
    "reschedule_copies_tracking": True,
}


class Switches:
    """The switches as they stand. Kept with the state, so that a restart knows them."""

    def __init__(self, state: State, *, shape: Shape) -> None:
        self._state = state
        self._defaults = DEFAULTS | {"shape": shape.value}

    def report(self) -> Json:
        return self._defaults | self._state.table("switches").get("turned", {})

    def turn(self, change: Mapping[str, Any]) -> None:
        """Turn those that are named. Raises ValueError for a switch or a value that there is not."""
        for name, value in change.items():
            if name not in DEFAULTS or not isinstance(value, type(DEFAULTS[name])):
                raise ValueError(f"cannot turn {name} to {value!r}; there are {', '.join(DEFAULTS)}")
            if name == "shape":
                Shape(value)
        with self._state.changing():
            self._state.table("switches").setdefault("turned", {}).update(change)

    @property
    def shape(self) -> Shape:
        return Shape(self.report()["shape"])

    @property
    def cancel_reason_refused(self) -> bool:
        return bool(self.report()["cancel_reason_refused"])

    @property
    def reschedule_copies_tracking(self) -> bool:
        return bool(self.report()["reschedule_copies_tracking"])
