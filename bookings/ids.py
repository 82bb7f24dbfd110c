"""Outward ids: a prefix that says what it is, and 128 random bits (DESIGN section 3)."""

import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U to misread."""
LENGTH = 26
"""Digits of base 32 that hold 128 bits."""
MAX_LENGTH = 64
"""Of any id in our tables; the marketplace may bring its own client ids."""


def new_id(prefix: str) -> str:
    """An unguessable id such as `bf_01JD3Z8Q4W7N6T2K9R5M1XHC0V`."""
    number = secrets.randbits(128)
    digits = "".join(ALPHABET[(number >> 5 * place) & 31] for place in reversed(range(LENGTH)))
    return f"{prefix}_{digits}"


def builder_id() -> str:
    return new_id("bp")


def client_id() -> str:
    return new_id("cl")


def session_type_id() -> str:
    return new_id("st")


def flow_id() -> str:
    return new_id("bf")


def booking_id() -> str:
    return new_id("bk")


def intent_id() -> str:
    return new_id("it")
