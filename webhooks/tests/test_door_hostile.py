"""Both webhook doors against hostile input: what is not rightly signed, or no JSON object, leaves no trace."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import pytest
import responses
from django.db import transaction
from django.test import Client as Browser

from bookings.models import Attention
from bookings.tests.hostile import BODIES, assert_refused, nothing_written
from bookings.tests.marketplace import begun, caller, checkout_seen, heard, offer
from webhooks.models import Delivery, State
from webhooks.tasks import process
from webhooks.tests.letters import (
    HEADERS,
    PROVIDERS,
    letter_of,
    post,
    raw,
    secrets_of,
    signature,
)

pytestmark = [pytest.mark.django_db, pytest.mark.parametrize("provider", PROVIDERS)]

MALFORMED_OBJECTS = {"an empty object", "30,000 unknown fields' worth"}
"""Of the hostile bodies these are objects: for a client's door wrong, for a verified webhook only unknown."""
OTHER = {"calendly": "stripe", "stripe": "calendly"}


def now() -> int:
    return int(time.time())


BAD_SIGNATURES: dict[str, Callable[[str, bytes], str]] = {
    "missing": lambda provider, body: "",
    "spaces": lambda provider, body: "   ",
    "garbage": lambda provider, body: "garbage",
    "commas": lambda provider, body: ",=,=,t=,v1=",
    "of a wrong secret": lambda provider, body: signature(body, "wrong"),
    "of no secret": lambda provider, body: signature(body, ""),
    "of the other provider's secret": lambda provider, body: signature(body, secrets_of(OTHER[provider])[0]),
    "of other bytes": lambda provider, body: signature(body + b" ", secrets_of(provider)[0]),
    "stale": lambda provider, body: signature(body, secrets_of(provider)[0], at=now() - 3_600),
    "from the future": lambda provider, body: signature(body, secrets_of(provider)[0], at=now() + 3_600),
    "v0 only": lambda provider, body: signature(body, secrets_of(provider)[0], scheme="v0"),
    "two times": lambda provider, body: f"t={now()}," + signature(body, secrets_of(provider)[0]),
    "another time than was signed": lambda provider, body: signature(
        body, secrets_of(provider)[0], at=now() - 60
    ).replace(f"t={now() - 60}", f"t={now()}"),
    "without a time": lambda provider, body: signature(body, secrets_of(provider)[0]).split(",")[1],
    "a huge time": lambda provider, body: f"t={'9' * 400},v1=00",
    "a time in other digits": lambda provider, body: f"t=\u0661,v1={'0' * 64}",
    "10 kB": lambda provider, body: signature(body, secrets_of(provider)[0]) + ",v1=" + "0" * 10_000,
    "a thousand": lambda provider, body: f"t={now()}" + f",v1={'0' * 64}" * 1_000,
    "not ASCII": lambda provider, body: f"t={now()},v1=é\xff",
    "upper case": lambda provider, body: signature(body, secrets_of(provider)[0]).upper(),
}


@pytest.mark.parametrize("make", BAD_SIGNATURES.values(), ids=BAD_SIGNATURES)
def test_a_bad_signature_is_refused_and_nothing_is_written(provider: str, make: Callable[[str, bytes], str]):
    body = raw(letter_of(provider))
    with nothing_written():
        response = post(provider, body, make(provider, body))
    assert_refused(response, 400)
    assert response.json()["error"]["code"] == "WEBHOOK_VERIFICATION_FAILED"


@pytest.mark.parametrize(("body", "content_type", "status"), BODIES.values(), ids=BODIES)
def test_a_hostile_body_that_is_rightly_signed(provider: str, request, body: bytes, content_type: str, status: int):
    if any(name in request.node.callspec.id for name in MALFORMED_OBJECTS):
        assert post(provider, body, content_type=content_type).status_code == 200
        return
    with nothing_written():
        assert_refused(post(provider, body, content_type=content_type), status)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"a": "' + b"x" * 300_000 + b'"}', 413),
        (b'{"a": 1, "a": 2}', 400),
        (b'{"a": ' + b"[" * 65 + b"]" * 65 + b"}", 400),
        (b'{"a": 9007199254740993}', 400),
        (b'{"a": "\\u0000", "b": ' + b"[" * 65 + b"]" * 65 + b"}", 400),
    ],
    ids=["300 kB", "a key twice", "66 deep", "beyond 2^53", "66 deep, with NUL"],
)
def test_a_body_over_the_bounds_is_refused_though_rightly_signed(provider: str, body: bytes, status: int):
    with nothing_written():
        response = post(provider, body)
    assert_refused(response, status)


@pytest.mark.parametrize(
    "body",
    [
        b'{"hello": "world"}',
        b'{"event": 1, "payload": [], "type": {}, "id": null, "data": "x", "created": "y"}',
        b'{"event": "\\u0000", "type": "\\u0000", "id": "evt_\\u0000"}',
        b'{"event": "\\ud800", "id": "evt_1", "type": "charge.\\udfff"}',
        b'{"\\u0000": 1}',
        b'{"event": "invitee.created", "payload": {"uri": "x"}, "id": "../../x", "type": "' + b"y" * 5_000 + b'"}',
    ],
    ids=["unknown", "wrong types", "NUL", "half a surrogate pair", "NUL in a key", "nonsense"],
)
def test_a_verified_object_of_unknown_shape_is_kept_and_parked(provider: str, body: bytes):
    assert post(provider, body).status_code == 200
    delivery = Delivery.objects.get()
    assert (bytes(delivery.body), delivery.state) == (body, State.DUE)
    process(delivery.id)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.PARKED, 0)
    assert delivery.reason
    assert Attention.objects.get(closed_at=None).object_id == delivery.id
    # Again: the same row, and nobody works on it a second time.
    assert post(provider, body).status_code == 200
    process(delivery.id)
    assert Delivery.objects.get().state == State.PARKED


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_webhook_door_answers_post_only(provider: str, method: str):
    body = raw(letter_of(provider))
    headers = {HEADERS[provider]: signature(body, secrets_of(provider)[0])}
    http = Browser(raise_request_exception=False)
    with nothing_written():
        response = http.generic(method, f"/api/webhooks/{provider}", body, "application/json", headers=headers)
    assert response.status_code == 405
    assert response["Allow"] == "POST"
    if method != "HEAD":
        assert_refused(response, 405)


def test_a_trailing_slash_is_another_address_and_no_redirect(provider: str):
    body = raw(letter_of(provider))
    headers = {HEADERS[provider]: signature(body, secrets_of(provider)[0])}
    http = Browser(raise_request_exception=False)
    with nothing_written():
        for path in (f"/api/webhooks/{provider}/", f"/api/webhooks//{provider}", f"/api/webhooks/{provider}%00"):
            assert_refused(http.post(path, body, "application/json", headers=headers), 404, about=path)


def test_a_good_webhook_is_answered_as_the_contract_says(provider: str):
    response = post(provider, raw(letter_of(provider)))
    assert response.status_code == 200
    assert response.json() == {"success": True, "message": "Webhook received"}


SPOILED: list[Any] = [None, True, -1, 2**53, 1.5, "", "\x00", "\ud800", "x" * 20_000, [], [None], {}, {"a": []}]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something could be spoiled in a letter."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def spoiled(letter: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(letter)
    inside: Any = changed
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return changed


def about_ours(provider: str) -> dict[str, Any]:
    """A letter about a flow of ours, so that its words reach our tables."""
    letter = letter_of(provider)
    if provider == "calendly":
        event_type = letter["payload"]["scheduled_event"]["event_type"]
        session_type = offer()
        session_type.event_type_id = event_type.rpartition("/")[2]
        session_type.save()
        letter["payload"]["tracking"]["utm_content"] = begun(caller("ann@example.com"), session_type).id
    else:
        booking = heard(begun(caller("ann@example.com"), offer()), "INV")
        seen = checkout_seen(booking, "cs_test_1")
        paid = {"payment_status": "paid", "status": "complete", "payment_intent": "pi_1", "amount_total": 12_000}
        letter["data"]["object"] |= {"id": "cs_test_1", "metadata": seen.metadata, "currency": "usd", **paid}
    return letter


def test_a_verified_letter_with_anything_spoiled_in_it_is_kept_and_never_stumbled_over(
    provider: str, settings, monkeypatch: pytest.MonkeyPatch
):
    """Whatever a provider's own program may get wrong: 200, and the worker knows what to make of it."""
    letter = about_ours(provider)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between tries at a provider that does not answer
    with responses.RequestsMock(assert_all_requests_are_fired=False):
        assert outcome(provider, letter) == (200, State.PROCESSED, 0, "")
        # Another value at each place; every value at every place takes minutes.
        for path, value in zip(places(letter), cycle(SPOILED), strict=False):
            # Left due, without a failed attempt: it waits for the provider to tell what the letter lacks.
            status, _, attempts, reason = outcome(provider, spoiled(letter, path, value))
            assert (status, attempts) == (200, 0), (path, value, reason)


def outcome(provider: str, letter: dict[str, Any]) -> tuple[int, str, int, str]:
    """How this letter is answered and what became of it; then nothing has happened."""
    with transaction.atomic():
        answer = post(provider, json.dumps(letter).encode())
        delivery = Delivery.objects.get()
        process(delivery.id)
        delivery.refresh_from_db()
        transaction.set_rollback(True)
    return answer.status_code, delivery.state, delivery.attempts, delivery.reason
