"""Strict reading of one JSON object of Stripe's, field by field (for `stripe_objects.py`)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

JSONObject = dict[str, Any]
Value = TypeVar("Value")

LONGEST_TEXT = 5_000
"""Characters: the bound that Stripe's description gives for its texts."""


class UnknownObject(ValueError):
    """Not the object that was expected, or not in a shape that we know. The message names the field."""


class Fields:
    """The fields of one JSON object of Stripe's. Every reader raises `UnknownObject` where the type is not its own."""

    def __init__(self, obj: JSONObject, kind: str | None) -> None:
        if not isinstance(obj, dict) or (kind and obj.get("object") != kind):
            raise UnknownObject(f"not a {kind}")
        self._obj = obj
        self._kind = kind

    def value(self, name: str) -> Any:
        return self._obj.get(name)

    def optional(self, name: str, read: Callable[[str], Value]) -> Value | None:
        """What `read` makes of the field, or None if it is null or left out."""
        return None if self.value(name) is None else read(name)

    def text(self, name: str) -> str:
        value = self.value(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return _clean(value)

    def identifier(self, name: str) -> str:
        value = self.value(name)
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_]{1,255}", value, re.ASCII):
            raise self._wrong(name, "an id")
        return value

    def reference(self, name: str) -> str | None:
        """The id in an expandable field, expanded or not; None if the field is empty."""
        if expanded := self.expanded(name):
            return Fields(expanded, None).identifier("id")
        return self.optional(name, self.identifier)

    def expanded(self, name: str) -> JSONObject | None:
        value = self.value(name)
        return value if isinstance(value, dict) else None

    def mapping(self, name: str) -> JSONObject:
        value = self.value(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return value

    def array(self, name: str) -> list[Any]:
        value = self.value(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return value

    def integer(self, name: str) -> int:
        value = self.value(name)
        # A bool is an int in Python; what does not fit in the database's bigint is nonsense.
        if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
            raise self._wrong(name, "an integer")
        return value

    def amount(self, name: str) -> int:
        value = self.integer(name)
        if value < 0:
            raise self._wrong(name, "an amount")
        return value

    def moment(self, name: str) -> datetime:
        seconds = self.integer(name)
        if not 0 < seconds < 253_402_300_800:  # the year 10,000
            raise self._wrong(name, "a time")
        return datetime.fromtimestamp(seconds, UTC)

    def currency(self, name: str) -> str:
        value = self.value(name)
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z]{3}", value):
            raise self._wrong(name, "a currency")
        return value.upper()

    def url(self, name: str) -> str:
        value = self.value(name)
        if not isinstance(value, str) or not re.fullmatch(r"https?://[!-~]{1,4990}", value):
            raise self._wrong(name, "a web address")
        return value

    def flag(self, name: str) -> bool:
        value = self.value(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def metadata(self) -> dict[str, str]:
        """Empty where Stripe sends null, as it does for objects that never had any."""
        entries = self.optional("metadata", self.mapping) or {}
        if not all(isinstance(text, str) for pair in entries.items() for text in pair):
            raise self._wrong("metadata", "texts by name")
        return {_clean(key): _clean(text) for key, text in entries.items()}

    def _wrong(self, name: str, expected: str) -> UnknownObject:
        return UnknownObject(f"{self._kind or 'object'}.{name} is not {expected}")


def _clean(text: str) -> str:
    """The text as PostgreSQL can store it."""
    return text.replace("\0", "")[:LONGEST_TEXT].encode("utf-8", "replace").decode()
