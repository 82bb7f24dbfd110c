"""The stopped clock and the fake wire of the tests of settling, recording and acting (`rows.py`, `wire.py`).

Pytest may read this file before Django is set up, so whatever has to do with models is imported late.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import time_machine

if TYPE_CHECKING:
    from payments.tests.wire import Wire


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Our clock, stopped at `rows.T0`; `clock.shift(...)` moves it."""
    from payments.tests.rows import T0

    with time_machine.travel(T0, tick=False) as traveller:
        yield traveller


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between the tries of one attempt, in seconds, recorded instead of slept."""
    recorded: list[float] = []
    monkeypatch.setattr(time, "sleep", recorded.append)
    return recorded


@pytest.fixture
def wire(waits: list[float]) -> "Iterator[Wire]":
    """Both providers at the wire; nothing is slept between tries."""
    from payments.tests.wire import Wire

    with Wire() as wire:
        yield wire
