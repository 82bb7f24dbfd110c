"""What a run of reconciling found, and how it goes on when a part of it fails."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError

from api.calling import CallFailed, Refused, Unknown
from bookings.locked import Cause, LockedFlow
from payments.settlement import settled_flow

logger = logging.getLogger(__name__)

MOST_HELD = 500
"""Objects of one kind that we hold, a list did not show, and one run reads by their ids."""
MOST_UNKNOWN = 3
"""Unusable answers in a run about one object each, before the provider counts as away."""


@dataclass
class Findings:
    """An account of one run. `say` takes one line for each thing that was new or is left for a person."""

    say: Callable[[str], object]
    looked_at: int = 0
    """Objects of the providers that were read."""
    new: int = 0
    left: int = 0
    _unknown: int = 0

    @property
    def exit_code(self) -> int:
        """0: both sides agreed. 1: what was new is recorded. 2: something is left for a person."""
        return 2 if self.left else 1 if self.new else 0

    @property
    def summary(self) -> str:
        return f"{self.looked_at} looked at, {self.new} new, {self.left} left for a person"

    def was_new(self, about: str, flow_id: str, what: str) -> None:
        self.new += 1
        self.say(f"new   {flow_id}  {about}: {what or 'more is known of it'}")

    def leave(self, about: str, why: str) -> None:
        self.left += 1
        self.say(f"left  {about}: {why}")

    @contextmanager
    def hearing(self, about: str, flow_id: str, cause: Cause) -> Iterator[LockedFlow]:
        """A settled flow in which to record what was read; accounts for whether anything of it was new."""
        with settled_flow(flow_id, cause) as flow:
            yield flow
            # Before the flow is settled: what follows from the news, or from the clock, is no difference.
            new, notes = flow.touched, "; ".join(flow.notes)
        if new:
            self.was_new(about, flow_id, notes)

    @contextmanager
    def provider(self, name: str) -> Iterator[None]:
        """All that is read from one provider. If it is away, what could not be read is left for the next run."""
        self._unknown = 0
        try:
            yield
        except CallFailed as failure:
            self.leave(name, f"{failure.message}; not everything was read")

    @contextmanager
    def each(self, about: str) -> Iterator[None]:
        """One object. Its failure stops no other, unless it says something about the provider or our database."""
        try:
            yield
        except Refused as refusal:
            if refusal.status == 401:
                raise
            self.leave(about, refusal.message)
        except Unknown as failure:
            self._unknown += 1
            if self._unknown >= MOST_UNKNOWN:
                raise
            self.leave(about, failure.message)
        except (CallFailed, OperationalError, InterfaceError):
            raise
        except Exception as error:
            logger.exception("%s could not be reconciled", about)
            self.leave(about, f"{type(error).__name__}: {error}")
