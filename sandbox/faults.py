"""What goes wrong in the sandbox: calls that fail and letters that go astray, by rates and a seed or exactly once.

Calls fail in one of these ways:

- `slow`: answered, but late.
- `fail_before`: a 5xx, and nothing was done. `fail_saved` is the same, but the provider remembers its 5xx under the
  caller's idempotency key. `reset_before`: the connection is cut, and nothing was done.
- `rate_limit`: 429, and nothing was done.
- `fail_after`: done, but answered with a 5xx. `reset_after`: done, and the connection is cut.
- `garble`: done, but the answer is half of its JSON, called text/html.

Letters (webhook deliveries) are lost (`drop`; a flush brings them all the same), late (`delay`), sent twice
(`duplicate`), or overtaken by the next one (`reorder`).
"""

import io
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CALL_FAULTS = (
    "slow",
    "fail_before",
    "fail_saved",
    "reset_before",
    "rate_limit",
    "fail_after",
    "reset_after",
    "garble",
)
LETTER_FAULTS = ("drop", "delay", "duplicate", "reorder")

CALL_RATES = {
    "slow": ("slow",),
    "fail_before": ("fail_before", "fail_saved", "reset_before"),
    "fail_after": ("fail_after", "reset_after", "garble"),
    "rate_limit": ("rate_limit",),
}
"""Which ways to fail one rate stands for; one of them is drawn."""

SECONDS = {"slow_seconds": 1.0, "delay_seconds": 3.0}
"""How late a slow answer is, and how late at most a delayed letter, unless set otherwise."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one letter."""

    drop: bool = False
    wait: float = 0.0
    """Seconds before the first try."""
    copies: int = 1
    behind: bool = False
    """Whether it waits for the next letter to the same address to go first."""


class Faults:
    """Decides, call by call and letter by letter, what goes wrong. All draws come from the seed.

    Calls and letters have a generator each, so that one more call does not change what happens to the letters.
    """

    def __init__(self, seed: str, rates: Mapping[str, float] | None = None) -> None:
        self._lock = threading.Lock()
        self._next: list[dict[str, Any]] = []
        self._set_rates(rates or {})
        self._set_seed(seed)

    def configure(self, change: Mapping[str, Any]) -> None:
        """Replace what is named: `seed`, `rates` (those not named become 0) and `next` (exact faults, in order).

        One of `next` is `{"method", "path", "do"}` for a call or `{"event", "do"}` for a letter; `method`, `path` and
        `event` are patterns (`*`), and happen once each. Raises ValueError for what it does not know.
        """
        with self._lock:
            if unknown := set(change) - {"seed", "rates", "next"}:
                raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
            if "rates" in change:
                self._set_rates(change["rates"])
            if "next" in change:
                self._next = [_checked(one) for one in change["next"]]
            if "seed" in change:
                self._set_seed(str(change["seed"]))

    def report(self) -> dict[str, Any]:
        """What is set now."""
        with self._lock:
            return {"seed": self._seed, "rates": dict(self._rates), "next": list(self._next)}

    def for_call(self, method: str, path: str) -> str | None:
        """How this call fails: one of CALL_FAULTS, or None."""
        with self._lock:
            for one in self._next:
                if "event" not in one and fnmatchcase(method, one["method"]) and fnmatchcase(path, one["path"]):
                    self._next.remove(one)
                    return str(one["do"])
            for rate, ways in CALL_RATES.items():
                if self._calls.random() < self._rates.get(rate, 0.0):
                    return self._calls.choice(ways)
            return None

    def for_letter(self, event: str) -> Fate:
        """What becomes of a letter about this kind of event."""
        with self._lock:
            exact = next((one for one in self._next if "event" in one and fnmatchcase(event, one["event"])), None)
            if exact is not None:
                self._next.remove(exact)
                happens = {fault: fault == exact["do"] for fault in LETTER_FAULTS}
            else:
                happens = {fault: self._letters.random() < self._rates.get(fault, 0.0) for fault in LETTER_FAULTS}
            late = self._letters.uniform(0.1, 1.0) * self._rates.get("delay_seconds", SECONDS["delay_seconds"])
        return Fate(
            drop=happens["drop"],
            wait=late if happens["delay"] else 0.0,
            copies=2 if happens["duplicate"] else 1,
            behind=happens["reorder"],
        )

    def coin(self) -> bool:
        """Heads or tails, for what a provider does only sometimes."""
        with self._lock:
            return self._calls.random() < 0.5

    def shuffled(self, things: Iterable[str]) -> list[str]:
        """The things in a drawn order."""
        with self._lock:
            mixed = list(things)
            self._letters.shuffle(mixed)
            return mixed

    @property
    def slow_seconds(self) -> float:
        """How long a slow call takes."""
        return self._rates.get("slow_seconds", SECONDS["slow_seconds"])

    def _set_rates(self, rates: Mapping[str, float]) -> None:
        known = {*CALL_RATES, *LETTER_FAULTS, *SECONDS}
        if unknown := set(rates) - known:
            raise ValueError(f"unknown rates: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        self._rates = {name: float(rate) for name, rate in rates.items()}

    def _set_seed(self, seed: str) -> None:
        self._seed = seed
        self._calls = random.Random(f"{seed}/calls")  # noqa: S311 - repeatable on purpose
        self._letters = random.Random(f"{seed}/letters")  # noqa: S311


def parse_rates(text: str) -> dict[str, float]:
    """Rates from the environment: `drop=0.1,delay=0.2,delay_seconds=5`. Raises ValueError if it is not like that."""
    rates = {}
    for pair in filter(None, text.replace(" ", "").split(",")):
        name, _, rate = pair.partition("=")
        try:
            rates[name] = float(rate)
        except ValueError:
            raise ValueError(f"not a rate: {pair}; write like drop=0.1,delay=0.2") from None
    return rates


def _checked(one: Mapping[str, Any]) -> dict[str, Any]:
    """One exact fault with its patterns filled in."""
    about_letters = "event" in one
    allowed = LETTER_FAULTS if about_letters else CALL_FAULTS
    patterns = {"event": "*"} if about_letters else {"method": "*", "path": "*"}
    if one.get("do") not in allowed or set(one) - {"do", *patterns}:
        raise ValueError(f"cannot do {dict(one)}; known are {', '.join(allowed)}")
    return {**patterns, **one}


class FaultyCalls:
    """WSGI middleware: the provider's app, with calls that fail as `faults` decides.

    `is_call` says which paths are the provider's own API (pages for people and the control room never fail).
    `failure(kind)` is the provider's own answer for `fail_before`, `fail_saved`, `fail_after` and `rate_limit`. Kinds
    in `left_to_app` are not handled here: the app finds the kind under `FAULT` in its environ.
    """

    FAULT = "sandbox.fault"

    def __init__(
        self,
        app: "WSGIApplication",
        faults: Faults,
        *,
        is_call: Callable[[str], bool],
        failure: Callable[[str], Response],
        left_to_app: Collection[str] = (),
    ) -> None:
        self._app = app
        self._faults = faults
        self._is_call = is_call
        self._failure = failure
        self._left_to_app = left_to_app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        fault = self._faults.for_call(environ["REQUEST_METHOD"], path) if self._is_call(path) else None
        if fault is None:
            return self._app(environ, start_response)
        # Read first: a provider that fails has still taken the request.
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        if fault in self._left_to_app:
            environ[self.FAULT] = fault
            return self._app(environ, start_response)
        if fault == "slow":
            time.sleep(self._faults.slow_seconds)
            return self._app(environ, start_response)
        if fault == "reset_before":
            cut_connection(environ)
        if fault in ("rate_limit", "fail_before", "fail_saved"):
            return self._failure(fault)(environ, start_response)
        answer = Response.from_app(self._app, environ, buffered=True)
        if fault == "reset_after":
            cut_connection(environ)
        if fault == "garble":
            answer.set_data(answer.get_data()[: len(answer.get_data()) // 2])
            answer.content_type = "text/html"
            return answer(environ, start_response)
        return self._failure(fault)(environ, start_response)


def cut_connection(environ: "WSGIEnvironment") -> None:
    """Reset the caller's connection without an answer. Does not return.

    Raises ConnectionResetError, which the server takes for a caller that has gone.
    """
    connection: socket.socket | None = environ.get("werkzeug.socket")
    if connection is not None:
        # Linger for zero seconds: closing then sends a reset, not an orderly end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Not close(): that waits for the server's own reader and writer of the connection.
        os.close(connection.detach())
    raise ConnectionResetError("cut by the sandbox")
