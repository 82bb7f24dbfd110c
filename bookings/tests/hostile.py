"""What hostile clients send, and the only answers that they may get: a refusal in the envelope, and nothing written."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from bookings.tests.marketplace import contents

REFUSALS = {400, 404, 405, 413, 415}
JSON = "application/json"

BODIES: dict[str, tuple[bytes, str, int]] = {
    "empty": (b"", JSON, 400),
    "an empty object": (b"{}", JSON, 400),
    "a list": (b"[]", JSON, 400),
    "a text": (b'"x"', JSON, 400),
    "null": (b"null", JSON, 400),
    "a number": (b"1", JSON, 400),
    "no JSON": (b"x=1", JSON, 400),
    "half of it": (b'{"x": ', JSON, 400),
    "not UTF-8": (b'{"x": "\xff\xfe"}', JSON, 400),
    "UTF-16": ('{"x": 1}'.encode("utf-16"), JSON, 400),
    "a raw NUL": (b'{"x": "\x00"}', JSON, 400),
    "NaN": (b'{"x": NaN}', JSON, 400),
    "1e999": (b'{"x": 1e999}', JSON, 400),
    "a number of 20,000 digits": (b'{"x": ' + b"9" * 20_000 + b"}", JSON, 400),
    "5,000 deep": (b'{"x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", JSON, 400),
    "30,000 unknown fields' worth": (b"{" + b",".join(b'"%d":1' % n for n in range(5_000)) + b"}", JSON, 400),
    "10 MB": (b'{"x": "' + b"x" * 10_000_000 + b'"}', JSON, 413),
    "10 MB, deep": (b'{"x": ' + b"[" * 10_000_000, JSON, 413),
    "a form": (b"x=1", "application/x-www-form-urlencoded", 415),
    "files": (b"--x\r\n", "multipart/form-data; boundary=x", 415),
    "plain text": (b'{"x": 1}', "text/plain", 415),
    "no content type": (b'{"x": 1}', "", 415),
    "UTF-7": (b'{"x": 1}', "application/json; charset=utf-7", 415),
}
WRONG_TYPES: list[Any] = [1, -1, 1.5, True, None, [], ["x"], {"x": 1}, [[]], 2**60]
BAD_TEXTS = ["\x00", "a\x00b", "\ud800", "x\udfffy", "x" * 10_000]
BAD_IDS = ["", " ", "a b", "a/b", "é", "x" * 65, "a\nb", "\u202eab"]
"""No ids at all. One that is well formed and names nothing is unknown, which is another answer."""

PATH_IDS = [
    *("%00", "a%00b", "%2f", "a%2fb", "..%2f..%2fetc", "%20", "a%20b", "%ff", "%c3%a9", "%0d%0aX-Evil:1"),
    *("x" * 500, "%F0%9F%92%A9", "'%20OR%201=1--", "%E2%80%AEab", "nobody", "-1", "{}", "%25", "null", "bk_/"),
]
"""As they stand in a path, after the door's address."""
CURSORS = [
    *("x", "a" * 5_001, "/w==", "é"),
    "cD14",  # p=x
    "cD0lMDA=",  # p=NUL
    "cD0yMDI2LTExLTIz",  # p=2026-11-23, no time
    "cD0yMDI2LTExLTIzKzEyJTNBMDAlM0EwMA==",  # a time without an offset
    "cD0yMDI2LTk5LTk5KzEyJTNBMDAlM0EwMCUyQjAwJTNBMDA=",  # the 99th of the 99th month
    "cD0wMDAxLTAxLTAxKzAwJTNBMDAlM0EwMCUyQjE0JTNBMDA=",  # the first hour of year 1, fourteen hours east
]
"""Not base64 of text, or base64 of nonsense. What decodes to nothing is the first page."""


def spoiled(body: dict[str, Any], ids: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The body with one thing wrong at a time, each with a name. `ids` are the fields that hold ids."""
    yield "an unknown field", {**body, "price": 1}
    for path in _paths(body):
        value, name = _at(body, path), ".".join(path)
        for wrong in WRONG_TYPES:
            if not (isinstance(wrong, bool) and isinstance(value, bool)):
                yield f"{name} = {wrong!r}", _with(body, path, wrong)
        if isinstance(value, dict):
            yield f"{name} has an unknown field", _with(body, path, {**value, "isAdmin": True})
        else:
            for text in [*BAD_TEXTS, *(BAD_IDS if name in ids else ())]:
                yield f"{name} = {text[:20]!r}", _with(body, path, text)


def _paths(value: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, inner in value.items():
        yield (key,)
        if isinstance(inner, dict):
            yield from ((key, *rest) for rest in _paths(inner))


def _at(body: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        body = body[key]
    return body


def _with(body: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    changed = deepcopy(body)
    _at(changed, path[:-1])[path[-1]] = value
    return changed


@contextmanager
def nothing_written() -> Iterator[None]:
    """Whatever happens inside leaves every row of ours as it was."""
    before = contents()
    yield
    after = contents()
    changed = [table for table in after if after[table] != before[table]]
    assert not changed, f"written: {changed}"


def assert_refused(response: Any, *statuses: int, about: object = "") -> None:
    """One of these refusals, in the envelope of the contract."""
    assert response.status_code in (statuses or REFUSALS), (about, response.status_code, response.content[:500])
    assert response["Content-Type"].startswith("application/json"), about
    body = response.json()
    assert body.keys() == {"success", "error"}, about
    assert body["success"] is False, about
    assert body["error"].keys() == {"code", "message", "details"}, about
    assert body["error"]["details"]["requestId"] == response["X-Request-Id"], about
    assert len(response.content) < 10_000, about


def without_request_id(response: Any) -> bytes:
    """The answer's bytes, but for the id that every answer has of its own."""
    content: bytes = response.content
    return content.replace(response["X-Request-Id"].encode(), b"")
