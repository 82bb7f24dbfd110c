"""How one HTTP request to Stripe is made, and what its failure means (for `stripe_api.py`).

The SDK's own transport would retry by other rules than the contract's, keep one time-out for all calls, follow the
proxies of the environment, and give us its exceptions with headers and codes missing (a 429 has no `code`, an answer
that is not Stripe's JSON no headers). Ours says what the answer means while it still has all of it.
"""

import json
import re
import threading
from collections.abc import Mapping
from typing import Any

import requests
import stripe
import urllib3

from api.calling import CallFailed, Deadline, Refused, Unavailable, Unknown, timeouts

# For the whole process: the SDK would send timings of earlier calls, and keep an id of this machine in the home folder.
stripe.enable_telemetry = False

USER_AGENT = f"Slotpay/0.1 stripe-python/{stripe.VERSION}"
CLEAR_REFUSALS = {400, 401, 402, 403, 404}
"""Statuses that mean "no, and nothing was done", if the body is Stripe's (https://docs.stripe.com/api/errors)."""
RATE_LIMIT_WAIT = 1.0
"""Seconds to stay away after a 429 that does not say how long; Stripe counts per second."""


class NotAgain(Exception):
    """Carries a failure past the retries: trying again at once would change nothing."""

    def __init__(self, failure: CallFailed) -> None:
        super().__init__(str(failure))
        self.failure = failure


class Transport(stripe.HTTPClient):
    """One call's transport: each try has the time-outs that the call's deadline leaves.

    Raises the errors of `api.calling` for everything but a 2xx, wrapped in `NotAgain` where no retry is wanted.
    """

    name = "requests"

    def __init__(self, deadline: Deadline | None) -> None:
        super().__init__()
        self._deadline = deadline

    def request(  # type: ignore[override]  # the SDK asks for a str and reads bytes
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[bytes, int, Mapping[str, str]]:
        ours = {**(headers or {}), "User-Agent": USER_AGENT}
        # It would name dj-stripe, which registers itself as the SDK's application.
        ours.pop("X-Stripe-Client-User-Agent", None)
        try:
            answer = _session().request(
                method, url, headers=ours, data=post_data, timeout=timeouts(self._deadline), allow_redirects=False
            )
        except requests.RequestException as error:
            if _never_connected(error):
                raise Unavailable(f"Stripe cannot be reached ({type(error).__name__})") from error
            raise Unknown(f"Stripe did not answer ({type(error).__name__})") from error
        if not 200 <= answer.status_code < 300:
            raise _failure(answer.status_code, answer.headers, answer.content)
        return answer.content, answer.status_code, answer.headers

    def close(self) -> None:
        """Nothing to close: connections are kept for the thread's next call."""


_threads = threading.local()


def _session() -> requests.Session:
    """This thread's session, so that calls reuse connections. It ignores proxies and .netrc of the environment."""
    if not hasattr(_threads, "session"):
        _threads.session = requests.Session()
        _threads.session.trust_env = False
    session: requests.Session = _threads.session
    return session


def _never_connected(error: requests.RequestException) -> bool:
    """Whether no byte of the request can have left: refused, no such host, or timed out while connecting."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, urllib3.exceptions.NewConnectionError)


def _failure(status: int, headers: Mapping[str, str], body: bytes) -> CallFailed | NotAgain:
    """What an answer outside 2xx means. Stripe's word on retrying, `Stripe-Should-Retry`, stands above its status."""
    error = _error_object(body)
    message = str(error.get("message") or f"Stripe answered {status}")[:500]
    # Some refusals have a type and no code: a key that was used with other parameters, for one.
    code, request_id = str(error.get("code") or error.get("type") or ""), headers.get("Request-Id", "")
    should_retry = headers.get("Stripe-Should-Retry")

    failure: CallFailed
    if status == 429 or code == "rate_limit":
        wait = _seconds(headers.get("Retry-After"))
        # Told to try again and not when (two writers on one object): the contract's waits will do.
        retry_after = wait if wait is not None or should_retry == "true" else RATE_LIMIT_WAIT
        failure = Unavailable(message, retry_after=retry_after, status=status, code=code, request_id=request_id)
    elif status in CLEAR_REFUSALS and error and should_retry != "true":
        failure = Refused(message, status=status, code=code, request_id=request_id)
    else:
        # 5xx, 424 and 409 (the first try with this key still runs), and whatever is not Stripe's own answer.
        replayed = status >= 500 and headers.get("Idempotent-Replayed") == "true"
        failure = Unknown(message, replayed=replayed, status=status, code=code, request_id=request_id)
        if replayed or should_retry == "false":
            return NotAgain(failure)
    return failure


def _error_object(body: bytes) -> dict[str, Any]:
    """Stripe's `error` object in the body of a failure; empty if the body is somebody else's."""
    try:
        error = json.loads(body)["error"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return {}
    return error if isinstance(error, dict) and isinstance(error.get("type"), str) else {}


def _seconds(text: str | None) -> float | None:
    """A `Retry-After` in seconds; None if there is none, or it is a date (Stripe sends none)."""
    return float(text) if text and re.fullmatch(r"\d{1,5}(\.\d{1,3})?", text) else None
