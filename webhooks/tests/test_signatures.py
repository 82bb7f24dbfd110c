"""Signatures of both providers: the right ones pass, and everything else is a BadSignature with the right reason."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest
import stripe
from hypothesis import assume, given
from hypothesis import strategies as st

from webhooks.signatures import BadSignature, check_signature

BOOKINGS = Path(__file__).parents[2] / "bookings"
VECTORS = json.loads((BOOKINGS / "tests/fixtures/calendly/signature_vectors.json").read_bytes())
BODY = b'{"event":"invitee.created"}'
KEY, OLD_KEY = "the-signing-key", "the-key-before"
NOW = 1_795_000_000


def signature(body: bytes = BODY, key: str = KEY, t: int | str = NOW) -> str:
    return hmac.new(key.encode(), f"{t}.".encode() + body, hashlib.sha256).hexdigest()


def reason(header: str, body: bytes = BODY, secrets=(KEY,), now: int = NOW) -> str:
    """Why the header is refused, or "ok"."""
    try:
        check_signature(header, body, secrets=secrets, now=now, tolerance=180, future=60)
    except BadSignature as bad:
        return bad.reason
    return "ok"


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["case"])
def test_every_vector_answers_as_it_says(vector):
    body, key = vector["body"].encode(), vector["signing_key"]
    assert reason(vector["header"], body, secrets=[key], now=vector["now"]) == vector["expect"]


def test_what_stripes_own_sdk_signs_is_believed():
    secret = "whsec_J7bRkq2mZ4"
    body = '{"object": "event", "data": {"name": "Zoë"}}'
    header = stripe.WebhookSignature.generate_signature_header(body, secret, NOW)
    assert reason(header, body.encode(), secrets=[secret]) == "ok"
    assert reason(header, body.encode(), secrets=["whsec_another"]) == "mismatch"


def test_the_current_and_the_previous_key_both_verify():
    for key in (KEY, OLD_KEY):
        assert reason(f"t={NOW},v1={signature(key=key)}", secrets=[KEY, OLD_KEY]) == "ok"


def test_one_right_signature_of_several_is_enough():
    wrong = signature(key="somebody's")
    assert reason(f"t={NOW},v1={wrong},v1={signature()}") == "ok"
    assert reason(f"t={NOW},v1={wrong},v1={signature(key='another')}") == "mismatch"


def test_stripes_v0_counts_for_nothing():
    assert reason(f"t={NOW},v0={signature()}") == "malformed"
    assert reason(f"t={NOW},v0={signature()},v1={'0' * 64}") == "mismatch"


def test_without_a_key_nothing_passes():
    assert reason(f"t={NOW},v1={signature()}", secrets=[]) == "mismatch"


def test_an_empty_key_signs_nothing():
    assert reason(f"t={NOW},v1={signature(key='')}", secrets=["", KEY]) == "mismatch"


@pytest.mark.parametrize(("age", "expected"), [(180, "ok"), (181, "stale"), (-60, "ok"), (-61, "stale")])
def test_the_clock_is_checked_both_ways(age, expected):
    assert reason(f"t={NOW - age},v1={signature(t=NOW - age)}") == expected


def test_only_what_is_rightly_signed_is_called_stale():
    assert reason(f"t={NOW - 1000},v1={signature()}") == "mismatch"


@pytest.mark.parametrize(
    ("header", "expected"),
    {
        "nothing": ("", "missing"),
        "spaces": ("  ", "missing"),
        "garbage": ("garbage", "malformed"),
        "only commas": (",,,", "malformed"),
        "no time": (f"v1={signature()}", "malformed"),
        "an empty time": (f"t=,v1={signature()}", "malformed"),
        "two times": (f"t={NOW},t={NOW},v1={signature()}", "malformed"),
        "a negative time": (f"t=-5,v1={signature(t=-5)}", "malformed"),
        "a time with a fraction": (f"t={NOW}.5,v1={signature(t=f'{NOW}.5')}", "malformed"),
        "a time in other digits": (f"t=١٧٩,v1={signature()}", "malformed"),
        "a time beyond all bounds": (f"t={'9' * 5000},v1={signature()}", "malformed"),
        "a time in the year 33658": (f"t={10**12 - 1},v1={signature(t=10**12 - 1)}", "stale"),
        "upper case": (f"t={NOW},v1={signature().upper()}", "mismatch"),
        "a short signature": (f"t={NOW},v1={signature()[:-1]}", "mismatch"),
        "an empty signature": (f"t={NOW},v1=", "mismatch"),
        "not ASCII": (f"t={NOW},v1={signature()},v2=é", "malformed"),
        "a lone surrogate": (f"t={NOW},v1=\ud800", "malformed"),
        "10 kB": (f"t={NOW},v1={signature()},v2={'x' * 10_000}", "malformed"),
        "capital scheme": (f"t={NOW},V1={signature()}", "malformed"),
    }.values(),
)
def test_hostile_headers_have_the_right_reason(header, expected):
    assert reason(header) == expected


HEADERS = st.text(max_size=200) | st.lists(
    st.builds("{}={}".format, st.sampled_from(["t", "v1", "v0", " t", ""]), st.text(max_size=20) | st.integers(0)),
    max_size=6,
).map(",".join)


@given(header=HEADERS, body=st.binary(max_size=50))
def test_no_header_whatever_raises_anything_else(header, body):
    assert reason(header, body) in ("missing", "malformed", "mismatch")


@given(body=st.binary(max_size=200), place=st.integers(0), byte=st.integers(0, 255))
def test_one_other_byte_is_noticed(body, place, byte):
    other = bytearray(body or b"x")
    other[place % len(other)] = byte
    assume(bytes(other) != body)
    header = f"t={NOW},v1={signature(body)}"
    assert reason(header, body) == "ok"
    assert reason(header, bytes(other)) == "mismatch"
