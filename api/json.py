"""JSON as we accept it: narrower than Python's, so that whatever passes can be stored and means one thing.

Python's `json` takes UTF-16, a byte order mark, NaN, 1e400, integers of any length, keys given twice, NUL and half
surrogate pairs. PostgreSQL refuses the last two in text, and other readers differ about the rest (RFC 8259, section
4 and 6; RFC 7493).
"""

import json
import math
import re
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.http import HttpRequest
from django.utils.http import parse_header_parameters
from rest_framework.parsers import BaseParser

from api.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType

CLIENT_MAX_BYTES, CLIENT_MAX_DEPTH = 64 * 1024, 32
WEBHOOK_MAX_BYTES, WEBHOOK_MAX_DEPTH = 256 * 1024, 64
LARGEST_INTEGER = 2**53
"""Beyond this a reader that has only doubles (JavaScript) would see another number."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class BadJSON(InvalidRequest, ValueError):
    """The body is not JSON as we accept it."""


class UnstorableText(BadJSON):
    """A JSON object within all bounds, but with NUL or a lone surrogate in a string or a key.

    A client is refused. A verified webhook is kept as raw bytes and parked (DESIGN section 6, point 14), which is
    why this is told apart, and why it is raised only when nothing else is wrong.
    """


def strict_loads(raw: bytes, *, max_bytes: int, max_depth: int) -> dict[str, Any]:
    """The JSON object in these bytes. `max_depth` counts nested objects and arrays, the outermost one included.

    Raises `PayloadTooLarge` over `max_bytes`, `UnstorableText` as described there, else `BadJSON`.
    """
    if len(raw) > max_bytes:
        raise PayloadTooLarge(f"The body is over {max_bytes} bytes.")
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
        )
    except UnicodeDecodeError:
        raise BadJSON("The body is not UTF-8.") from None
    except json.JSONDecodeError as wrong:
        raise BadJSON(f"The body is not JSON: {wrong}.") from None
    except RecursionError:
        raise _too_deep(max_depth) from None
    if not isinstance(value, dict):
        raise BadJSON("The body must be a JSON object.")
    texts = _texts(value, max_depth)
    if any(_UNSTORABLE.search(text) for text in texts):
        raise UnstorableText("A text in the body contains NUL or half of a surrogate pair.")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise BadJSON("An object in the body has the same key twice.")
    return value


def _integer(text: str) -> int:
    # The length first: turning a long text into an integer is slow, and refused by Python itself at 4,300 digits.
    if len(text) > 17 or abs(int(text)) > LARGEST_INTEGER:
        raise BadJSON("An integer in the body is beyond 2^53.")
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadJSON("A number in the body is too large.")
    return number


def _constant(name: str) -> NoReturn:
    raise BadJSON(f"{name} is not JSON.")


def _texts(value: dict[str, Any], max_depth: int) -> list[str]:
    """All strings and keys inside. Refuses what is nested too deep."""
    texts: list[str] = []
    rest: list[tuple[Any, int]] = [(value, 1)]
    while rest:
        item, depth = rest.pop()
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, dict | list):
            if depth > max_depth:
                raise _too_deep(max_depth)
            if isinstance(item, dict):
                texts += item
                item = item.values()
            rest += ((child, depth + 1) for child in item)
    return texts


def _too_deep(max_depth: int) -> BadJSON:
    return BadJSON(f"The body is nested deeper than {max_depth} levels.")


def json_body(request: HttpRequest, *, max_bytes: int) -> bytes:
    """The raw body of a request that says it is JSON in UTF-8 and keeps to `max_bytes`; read only then.

    Raises `UnsupportedMediaType` or `PayloadTooLarge`.
    """
    named, parameters = parse_header_parameters(request.META.get("CONTENT_TYPE", ""))
    if named != "application/json" or parameters.get("charset", "utf-8").lower() != "utf-8":
        raise UnsupportedMediaType
    # Django reads no further than this header says.
    if int(request.META.get("CONTENT_LENGTH") or 0) > max_bytes:
        raise PayloadTooLarge(f"The body is over {max_bytes} bytes.")
    return request.body


class StrictJSONParser(BaseParser):
    """Reads the bodies of clients: one JSON object, `application/json` in UTF-8, within the clients' bounds."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        # Not by `stream` and `media_type`: the framework takes `*/*` and any charset for a match.
        body = json_body((parser_context or {})["request"], max_bytes=CLIENT_MAX_BYTES)
        return strict_loads(body, max_bytes=CLIENT_MAX_BYTES, max_depth=CLIENT_MAX_DEPTH)
