"""Reading JSON that a provider wrote: each field by its type, and one error for everything that is wrong.

Nothing is trusted to be there or to be what the documentation says. Missing and null are the same, and become
an empty value. A field of another type is an `UnknownShape`. Text comes out so that PostgreSQL can store it.
"""

import re
from datetime import UTC, datetime
from typing import Any, TypeVar

Kind = TypeVar("Kind")

SHORT_TEXT = 255
"""Characters kept of names, addresses, time zones and the like."""
LONG_TEXT = 10_000
"""Characters kept of answers and reasons: what Calendly takes as a reason for a cancellation."""

# Nothing that could mean two things to two readers: no user info, query, fragment, `..`, backslash or escape.
HOST = r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?"
ID = r"[A-Za-z0-9_-]{1,64}"
_URI = re.compile(rf"{HOST}(?:/{ID})*/?")


class UnknownShape(ValueError):
    """This JSON is not what we know. The message names the field and never repeats what it holds."""


class Fields:
    """The fields of one JSON object. `where` names the object in errors."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise UnknownShape(f"{where} is not an object")
        self.unread: dict[str, Any] = value
        """The object as it came, nothing checked."""
        self._where = where

    def text(self, name: str, bound: int = SHORT_TEXT) -> str:
        """The text, cut to `bound` characters, without NUL and with `?` for lone surrogates."""
        text = self._of(name, str, "text") or ""
        return text.replace("\x00", "").encode("utf-8", "replace").decode()[:bound]

    def uri(self, name: str) -> str:
        """The address of a resource, or empty. It is never cut or mended: half an address names something else."""
        uri = self._of(name, str, "text") or ""
        if uri and (len(uri) > SHORT_TEXT or not _URI.fullmatch(uri)):
            raise UnknownShape(f"{self._where}.{name} is not the address of a resource")
        return uri

    def flag(self, name: str) -> bool:
        return self._of(name, bool, "true or false") or False

    def count(self, name: str) -> int | None:
        """A whole number from 0 up to what a PostgreSQL integer holds."""
        count = self._of(name, int, "a number")
        if count is not None and (isinstance(count, bool) or not 0 <= count < 2**31):
            raise UnknownShape(f"{self._where}.{name} is not a count")
        return count

    def moment(self, name: str) -> datetime | None:
        """An ISO 8601 time with its offset, as UTC. Years outside 2000 to 2199 are refused: nobody books then."""
        text = self._of(name, str, "text")
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError("no offset")
            moment = moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise UnknownShape(f"{self._where}.{name} is not a time") from None
        if not 2000 <= moment.year < 2200:
            raise UnknownShape(f"{self._where}.{name} is not a time of ours")
        return moment

    def inner(self, name: str) -> "Fields":
        """The object inside; one without fields if there is none."""
        return Fields(self._of(name, dict, "an object") or {}, f"{self._where}.{name}")

    def each(self, name: str) -> list["Fields"]:
        """The objects of a list."""
        return [Fields(item, f"{self._where}.{name}[]") for item in self._of(name, list, "a list") or []]

    def texts(self, name: str) -> list[str]:
        """The texts of a list, each as `text` gives it."""
        items = self._of(name, list, "a list") or []
        return [Fields({name: item}, self._where).text(name) for item in items]

    def _of(self, name: str, kind: type[Kind], called: str) -> Kind | None:
        value = self.unread.get(name)
        if value is None or isinstance(value, kind):
            return value
        raise UnknownShape(f"{self._where}.{name} is not {called}")
