"""What our two provider clients share: how a call may end, its deadline, and the retries of the contract.

Only `bookings/calendly_api.py` and `payments/stripe_api.py` call providers. Both raise these three errors and no
others, so that whoever called can tell a clear no from a perhaps.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

Answer = TypeVar("Answer")


class CallFailed(Exception):
    """A call to a provider did not give an answer that can be used."""

    def __init__(self, message: str, *, status: int | None = None, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        """The HTTP status, or None if there was no HTTP answer."""
        self.code = code
        """The provider's own word for it (`charge_already_refunded`, `Permission Denied`), or empty."""
        self.request_id = request_id


class Refused(CallFailed):
    """A clear no: nothing was done, and asking the same again is pointless."""


class Unavailable(CallFailed):
    """Not done (rate limited, could not connect, no time left): ask again later."""

    def __init__(self, message: str, *, retry_after: float | None = None, **about: object) -> None:
        super().__init__(message, **about)  # type: ignore[arg-type]  # passed on as given
        self.retry_after = retry_after
        """Seconds until the provider will listen again, by its own word; None if it did not say."""


class Unknown(CallFailed):
    """Perhaps done (time-out, 5xx): ask again with the same key, or look it up."""

    def __init__(self, message: str, *, replayed: bool = False, **about: object) -> None:
        super().__init__(message, **about)  # type: ignore[arg-type]  # passed on as given
        self.replayed = replayed
        """Whether the provider answered with a failure that it had saved under our key: the key is spent."""


@dataclass(slots=True)
class Deadline:
    """How long a call made inside a request may take in all, in seconds. It shortens time-outs and tries."""

    seconds: float
    _ends: float = field(init=False)

    def __post_init__(self) -> None:
        self._ends = time.monotonic() + self.seconds

    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._ends - time.monotonic())


CONNECT_TIMEOUT, READ_TIMEOUT = 3.0, 10.0
"""Seconds, for every call; a deadline makes them shorter."""


def timeouts(deadline: Deadline | None) -> tuple[float, float]:
    """The (connect, read) time-outs of the next try, in seconds."""
    if deadline is None:
        return CONNECT_TIMEOUT, READ_TIMEOUT
    left = max(deadline.left(), 0.05)
    return min(CONNECT_TIMEOUT, left), min(READ_TIMEOUT, left)


def with_retries(
    call: Callable[[], Answer], *, tries: int, first_wait: float, deadline: Deadline | None = None
) -> Answer:
    """Make the call up to `tries` times, waiting 2^n x `first_wait` seconds between (contract section 7).

    Only `Unknown` and `Unavailable` are tried again. A rate limit (`retry_after` set) is not: its reset is
    longer than these waits, so it is left to the worker. With a deadline no wait is begun that would outlast it.
    Once a try was perhaps done, a later one that was not does not make it undone: that ends as `Unknown`.
    """
    perhaps_done = False
    for attempt in range(tries):
        try:
            return call()
        except (Unknown, Unavailable) as failure:
            perhaps_done = perhaps_done or isinstance(failure, Unknown)
            wait = first_wait * 2**attempt
            limited = isinstance(failure, Unavailable) and failure.retry_after is not None
            out_of_time = deadline is not None and deadline.left() <= wait
            if attempt == tries - 1 or limited or out_of_time:
                if perhaps_done and isinstance(failure, Unavailable):
                    raise Unknown(
                        failure.message, status=failure.status, code=failure.code, request_id=failure.request_id
                    ) from failure
                raise
            time.sleep(wait)
    raise AssertionError("tries must be at least 1")


MOST_RESETS = 10
"""Rate limits that are waited out in a row; whoever is limited for longer is asked another time."""


def patiently(call: Callable[[], Answer]) -> Answer:
    """Make a call that may be made again, and wait out the provider's rate limits.

    For commands and jobs that read much. Never inside a request or a transaction: one wait takes about a minute.
    """
    for _ in range(MOST_RESETS):
        try:
            return call()
        except Unavailable as limited:
            if limited.retry_after is None:
                raise
            time.sleep(limited.retry_after)
    return call()
