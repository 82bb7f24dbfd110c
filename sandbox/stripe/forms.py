"""Stripe's request bodies: forms with brackets, and the checks that turn their text into values.

A check takes the raw value (text, or what nests) and the parameter's name in Stripe's bracket form, and returns the
value to work with, or raises StripeError. Checks are built from each other like the table in `parameters.py` shows.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from sandbox.stripe.errors import StripeError, not_here
from sandbox.stripe.money import CURRENCIES

Check = Callable[[Any, str], Any]
METADATA_KEYS, METADATA_KEY_LENGTH, METADATA_VALUE_LENGTH = 50, 40, 500


def unfold(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`a[b][0][c]=d` becomes `{"a": {"b": {"0": {"c": "d"}}}}`; `a[]=b` counts its own indices.

    Raises StripeError for names that are not like that, or that use one name for a text and for what nests.
    """
    whole: dict[str, Any] = {}
    for name, value in pairs:
        steps = re.match(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$", name)
        if steps is None:
            raise StripeError(f"Invalid parameter name: {name}", param=name)
        here, keys = whole, [steps[1], *re.findall(r"\[([^\[\]]*)\]", steps[2])]
        for depth, key in enumerate(keys):
            if key == "":
                key = str(len(here))
            if depth == len(keys) - 1:
                if isinstance(here.get(key), dict):
                    raise StripeError(f"Invalid hash: {name}", param=name)
                here[key] = value
            else:
                here = here.setdefault(key, {})
                if not isinstance(here, dict):
                    raise StripeError(f"Invalid hash: {name}", param=name)
    return whole


def fields(known: Mapping[str, Check], *, required: Collection[str] = (), not_done: Collection[str] = ()) -> Check:
    """An object with these keys and no others. `not_done` are known to Stripe and not to the sandbox."""

    def check(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise StripeError("Invalid object", param=name or None)
        inside = {key: f"{name}[{key}]" if name else key for key in {*value, *required}}
        unknown = [inside[key] for key in value if key not in known and key not in not_done]
        if unknown:
            raise StripeError(
                f"Received unknown parameter{'s' if len(unknown) > 1 else ''}: {', '.join(unknown)}",
                code="parameter_unknown",
                param=unknown[0],
            )
        for key in required:
            if key not in value:
                raise StripeError(
                    f"Missing required param: {inside[key]}.", code="parameter_missing", param=inside[key]
                )
        for key in value:
            if key not in known:
                raise not_here(inside[key], inside[key])
        return {key: known[key](raw, inside[key]) for key, raw in value.items()}

    return check


def list_of(item: Check, *, most: int = 100) -> Check:
    """A list, written `name[0]`, `name[1]` or `name[]`."""

    def check(value: Any, name: str) -> list[Any]:
        if not isinstance(value, dict) or not all(key.isdecimal() for key in value):
            raise StripeError("Invalid array", param=name)
        if len(value) > most:
            raise StripeError(f"Array can have at most {most} items: {name}", param=name)
        return [item(value[key], f"{name}[{place}]") for place, key in enumerate(sorted(value, key=int))]

    return check


def text(*, most: int = 5000, empty: bool = False) -> Check:
    """A string of at most so many characters; `empty` allows an empty one, which unsets."""

    def check(value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise StripeError("Invalid string", param=name)
        if not value and not empty:
            raise StripeError(
                f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter;"
                f" however '{name}' cannot be unset. You should remove '{name}' from your request or supply a"
                " non-empty value.",
                code="parameter_invalid_empty",
                param=name,
            )
        if len(value) > most:
            raise StripeError(f"Invalid string: {value[:20]}...; must be at most {most} characters", param=name)
        if "\0" in value:
            raise StripeError("Invalid string: it holds a NUL character", param=name)
        return value

    return check


def one_of(*choices: str, not_done: Collection[str] = ()) -> Check:
    """One of these words. `not_done` are Stripe's, but not the sandbox's."""

    def check(value: Any, name: str) -> str:
        word = str(text()(value, name))
        if word in not_done:
            raise not_here(f"{name}={word}", name)
        if word not in choices:
            every = [*choices, *not_done]
            said = every[0] if len(every) == 1 else f"one of {', '.join(every[:-1])}, or {every[-1]}"
            raise StripeError(f"Invalid {name}: must be {said}", param=name)
        return word

    return check


def whole(*, least: int | None = None, most: int | None = None) -> Check:
    """An integer."""

    def check(value: Any, name: str) -> int:
        if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise StripeError(f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
        number = int(value)
        if least is not None and number < least:
            raise StripeError(
                f"This value must be greater than or equal to {least}.", code="parameter_invalid_integer", param=name
            )
        if most is not None and number > most:
            raise StripeError(
                f"This value must be less than or equal to {most} (it currently is '{value}').",
                code="parameter_invalid_integer",
                param=name,
            )
        return number

    return check


def flag(value: Any, name: str) -> bool:
    """`true` or `false`."""
    if value not in ("true", "false"):
        raise StripeError(f"Invalid boolean: {value}", param=name)
    return bool(value == "true")


def currency(value: Any, name: str) -> str:
    """A currency code that Stripe knows, in lower case."""
    if value not in CURRENCIES:
        every = ", ".join(sorted(CURRENCIES))
        raise StripeError(f"Invalid currency: {value}. Stripe currently supports these currencies: {every}", param=name)
    return str(value)


def email(value: Any, name: str) -> str:
    """Something with an @ in it."""
    address = str(text(most=512)(value, name))
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", address):
        raise StripeError(f"Invalid email address: {address}", code="email_invalid", param=name)
    return address


def url(value: Any, name: str) -> str:
    """An absolute http or https URL."""
    address = str(text()(value, name))
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in address:
        raise StripeError("Not a valid URL", code="url_invalid", param=name)
    return address


def metadata(value: Any, name: str) -> dict[str, str]:
    """Up to 50 pairs, keys of 40 and values of 500 characters; an empty value unsets its key."""
    if value == "":
        return {}
    if not isinstance(value, dict):
        raise StripeError("Invalid object", param=name)
    if len(value) > METADATA_KEYS:
        raise StripeError(f"You can have up to {METADATA_KEYS} metadata keys.", param=name)
    for key, inner in value.items():
        if len(key) > METADATA_KEY_LENGTH:
            raise StripeError(f"Metadata keys must be at most {METADATA_KEY_LENGTH} characters: {key}", param=name)
        text(most=METADATA_VALUE_LENGTH, empty=True)(inner, f"{name}[{key}]")
    return {key: inner for key, inner in value.items() if inner}


def span(value: Any, name: str) -> dict[str, int]:
    """A time, or bounds in `gt`, `gte`, `lt`, `lte`; in unix seconds."""
    if isinstance(value, str):
        return {"gte": whole()(value, name), "lte": whole()(value, name)}
    bounds: dict[str, int] = fields(dict.fromkeys(("gt", "gte", "lt", "lte"), whole()))(value, name)
    return bounds
