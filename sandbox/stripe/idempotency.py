"""Idempotency keys, as Stripe treats them (https://docs.stripe.com/api/idempotent_requests).

Status and body of the first run are kept for 24 hours and replayed, a 5xx too. Not kept: what was refused before the
call ran (wrong parameters, 401), 429, and the 409 for a key whose first call is still running.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.faults import Faults
from sandbox.state import Json, State
from sandbox.stripe.errors import StripeError

TABLE = "saved_answer"
KEPT_SECONDS = 24 * 3600
KEY_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the caller."""

    status: int
    body: Json
    keep: bool = True
    """Whether it is kept under the caller's key."""
    replay_of: str | None = None
    """The request id of the first run, if this is its answer again."""


BROKEN: Json = {
    "error": {"message": "An unknown error occurred. (The sandbox was told to fail here.)", "type": "api_error"}
}
"""The body of a 5xx."""


class Keys:
    """The keys of one account."""

    def __init__(self, state: State, faults: Faults) -> None:
        self._state = state
        self._faults = faults
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def answer(
        self, key: str | None, *, path: str, asked: str, request_id: str, run: Callable[[], Json], fault: str | None
    ) -> Answer:
        """Run the call, or replay what it gave under this key (None: a call without one).

        `asked` is all that was asked, in one text.

        `fault` is `slow`, `fail_saved` (a 5xx that is kept, and nothing done) or `fail_after` (a 5xx that is kept,
        although it was done), which only this layer can do. Raises StripeError for a key that is used wrongly.
        """
        if key is None:
            self._wait(fault)
            with self._state.changing():
                return _outcome(run, fault)
        if len(key) > KEY_LENGTH:
            raise StripeError(f"Idempotency keys can be at most {KEY_LENGTH} characters.", kind="idempotency_error")
        with self._lock:
            if key in self._running:
                raise StripeError(
                    "There is currently another in-progress request using this Idempotent Key (that probably means you"
                    f" submitted twice, and the other request is still going through): {key}. Please try again later.",
                    status=409,
                    kind="idempotency_error",
                    code="idempotency_key_in_use",
                )
            saved = self._saved(key)
            if saved is not None:
                return _replay(saved, key, path, asked)
            self._running.add(key)
        try:
            self._wait(fault)
            # The deed and its saved answer are one change: a restart between them cannot be seen.
            with self._state.changing():
                answer = _outcome(run, fault)
                if answer.keep:
                    self._state.table(TABLE)[key] = {
                        "path": path,
                        "asked": asked,
                        "request_id": request_id,
                        "at": self._state.now(),
                        "status": answer.status,
                        "body": answer.body,
                    }
                return answer
        finally:
            with self._lock:
                self._running.discard(key)

    def read(self, run: Callable[[], Json], fault: str | None) -> Answer:
        """Run a call that changes nothing: keys mean nothing there."""
        self._wait(fault)
        with self._state.lock:
            return _outcome(run, fault)

    def _wait(self, fault: str | None) -> None:
        if fault == "slow":
            time.sleep(self._faults.slow_seconds)

    def _saved(self, key: str) -> Json | None:
        """What is kept under the key; what is older than a day is forgotten first."""
        with self._state.changing():
            table = self._state.table(TABLE)
            for old in [one for one, saved in table.items() if saved["at"] < self._state.now() - KEPT_SECONDS]:
                del table[old]
            return table.get(key)


def _outcome(run: Callable[[], Json], fault: str | None) -> Answer:
    if fault == "fail_saved":
        return Answer(500, BROKEN)
    try:
        body = run()
    except StripeError as refusal:
        return Answer(refusal.status, refusal.body, keep=refusal.ran)
    return Answer(500, BROKEN) if fault == "fail_after" else Answer(200, body)


def _replay(saved: Json, key: str, path: str, asked: str) -> Answer:
    if saved["path"] != path:
        raise StripeError(
            "Keys for idempotent requests can only be used for the same endpoint they were first used for"
            f" ('{path}' vs '{saved['path']}'). Try using a key other than '{key}' if you meant to execute a different"
            " request.",
            kind="idempotency_error",
        )
    if saved["asked"] != asked:
        raise StripeError(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try"
            f" using a key other than '{key}' if you meant to execute a different request.",
            kind="idempotency_error",
        )
    return Answer(saved["status"], saved["body"], replay_of=saved["request_id"])
