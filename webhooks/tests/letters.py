"""Webhooks as the two providers send them, rightly signed by default, for tests of the doors."""

import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import Client as Browser

from payments.tests.stripe_schema import fixture

HEADERS = {"calendly": "Calendly-Webhook-Signature", "stripe": "Stripe-Signature"}
PROVIDERS = list(HEADERS)
CALENDLY_LETTERS = Path(__file__).parents[2] / "bookings" / "tests" / "fixtures" / "calendly" / "webhooks"


def secrets_of(provider: str) -> list[str]:
    secrets: list[str] = (
        settings.CALENDLY_WEBHOOK_SIGNING_KEYS if provider == "calendly" else settings.STRIPE_WEBHOOK_SECRETS
    )
    return secrets


def signature(body: bytes, secret: str, *, at: int | None = None, scheme: str = "v1") -> str:
    """The signature header for these bytes, signed now or at a unix time."""
    at = int(time.time()) if at is None else at
    return f"t={at},{scheme}={_hmac(secret, at, body)}"


def _hmac(secret: str, at: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def post(provider: str, body: bytes, header: str | None = None, content_type: str = "application/json") -> Any:
    """Post a webhook; `header` replaces the right signature, and "" leaves it out."""
    if header is None:
        header = signature(body, secrets_of(provider)[0])
    headers = {HEADERS[provider]: header} if header else {}
    http = Browser(raise_request_exception=False)
    # Named twice: for an empty body the test client leaves it out.
    return http.generic(
        "POST", f"/api/webhooks/{provider}", body, content_type, headers=headers, CONTENT_TYPE=content_type
    )


def calendly_letter() -> dict[str, Any]:
    """`invitee.created` as the real Calendly sends it."""
    letter: dict[str, Any] = json.loads((CALENDLY_LETTERS / "documented" / "invitee.created.json").read_text())
    return letter


def stripe_letter(name: str = "checkout.session.completed", event_id: str = "evt_1", **changes: Any) -> dict[str, Any]:
    """An event about Stripe's published sample of a Checkout session, with changes to the session."""
    session = {**fixture("checkout.session"), **changes}
    return {
        "id": event_id,
        "object": "event",
        "type": name,
        "created": int(time.time()),
        "livemode": False,
        "api_version": settings.STRIPE_API_VERSION,
        "data": {"object": session},
    }


def letter_of(provider: str) -> dict[str, Any]:
    return calendly_letter() if provider == "calendly" else stripe_letter()


def raw(letter: dict[str, Any]) -> bytes:
    """The bytes of a letter."""
    return json.dumps(letter).encode()
