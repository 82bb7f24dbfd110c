"""A fake wire: what Calendly and Stripe answer, and what was asked of them."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import pytest
import responses
from django.conf import settings
from django.db import connection
from requests import PreparedRequest

from payments.tests.stripe_schema import validate_request

JSON = dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """An answer outside 2xx."""

    status: int
    message: str = "No."
    code: str = ""
    """Stripe's code, or Calendly's title."""
    type: str = "invalid_request_error"
    headers: dict[str, str] = field(default_factory=dict)


Answer = JSON | Failure | BaseException | Callable[[], "JSON | Failure"]


@dataclass(frozen=True)
class Call:
    """A request as it went out."""

    method: str
    path: str
    key: str | None
    """Its idempotency key."""
    body: JSON

    @property
    def does(self) -> str:
        """`POST /v1/refunds`"""
        return f"{self.method} {self.path}"


class Wire:
    """Both providers. Each path answers in turn what it was told to, the last answer again and again.

    Every request must find no transaction open (LIFECYCLE 1.3), those to Stripe must be as Stripe describes them, and
    one that no test foresaw ends the test.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._answers: dict[str, list[Answer]] = {}
        self._mock = responses.RequestsMock(assert_all_requests_are_fired=False)

    def __enter__(self) -> Self:
        self._mock.start()
        for method in ("GET", "POST", "DELETE"):
            for base in (settings.STRIPE_API_BASE, settings.CALENDLY_API_BASE):
                self._mock.add_callback(method, re.compile(re.escape(base) + "/.*"), callback=self._on_request)
        return self

    def __exit__(self, *exc: object) -> None:
        self._mock.stop(allow_assert=False)
        self._mock.reset()

    def answers(self, does: str, *answers: Answer) -> None:
        """What is answered to `POST /v1/refunds`: JSON, a failure, an exception to raise, or a function that says."""
        self._answers[does] = list(answers)

    def made(self, does: str) -> list[Call]:
        """The calls of this method to this path."""
        return [call for call in self.calls if call.does == does]

    def _on_request(self, request: PreparedRequest) -> tuple[int, dict[str, str], str]:
        open_ones = [block for block in connection.atomic_blocks if not block._from_testcase]  # type: ignore[attr-defined]
        if open_ones:
            pytest.fail(f"{request.method} {request.url}: a transaction is open")
        url, method, body = urlsplit(str(request.url)), str(request.method), str(_text(request.body))
        to_stripe = str(request.url).startswith(settings.STRIPE_API_BASE)
        if to_stripe:
            pairs = parse_qsl(body if method == "POST" else url.query, keep_blank_values=True)
            validate_request(method, url.path, pairs)
            said: JSON = dict(pairs)
        else:
            said = json.loads(body) if body else {}
        self.calls.append(Call(method, url.path, request.headers.get("Idempotency-Key"), said))
        does = self.calls[-1].does
        if does not in self._answers:
            pytest.fail(f"Nobody foresaw {does}")
        waiting = self._answers[does]
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if callable(answer):
            answer = answer()
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, Failure):
            return answer.status, answer.headers, json.dumps(_failure(answer, to_stripe=to_stripe))
        if to_stripe:
            return 200, {}, json.dumps(answer)
        return (201, {}, "{}") if method == "POST" else (200, {}, json.dumps({"resource": answer}))


def _text(body: bytes | str | None) -> str:
    return body.decode() if isinstance(body, bytes) else body or ""


def _failure(failure: Failure, *, to_stripe: bool) -> JSON:
    if to_stripe:
        error = {"type": failure.type, "message": failure.message}
        return {"error": error | ({"code": failure.code} if failure.code else {})}
    return {"title": failure.code or "Error", "message": failure.message}
