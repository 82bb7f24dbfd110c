"""The signature that both providers put on a webhook: `t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<raw body>">`.

https://docs.stripe.com/webhooks?verify=verify-manually
https://developer.calendly.com/api-docs/overview/webhooks/webhook-signatures
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Literal

# Stripe adds one v1 for each secret while one is being rolled; each takes 68 characters.
LONGEST_HEADER = 2_000
_SECONDS = re.compile(r"[0-9]{1,12}")

Reason = Literal["missing", "malformed", "stale", "mismatch"]


class BadSignature(Exception):
    """This webhook is not to be believed. `stale` means rightly signed, but by a clock too far from ours."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def check_signature(header: str, body: bytes, *, secrets: Sequence[str], now: int, tolerance: int, future: int) -> None:
    """Return if one of the `secrets` signed these very bytes, at most `tolerance` seconds before `now` (unix
    seconds) and at most `future` seconds after it. Otherwise raise BadSignature, and never anything else.

    Several secrets serve while one is being rolled; with none nothing passes. One right `v1` is enough. Other
    schemes are ignored, Stripe's `v0` among them: it is added to test events and proves nothing.
    """
    if not header.strip():
        raise BadSignature("missing")
    if len(header) > LONGEST_HEADER or not header.isascii():
        raise BadSignature("malformed")
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for scheme, _, value in parts if scheme == "t"]
    signatures = [value.encode() for scheme, _, value in parts if scheme == "v1"]
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]) or not signatures:
        raise BadSignature("malformed")

    signed = times[0].encode() + b"." + body
    # An empty secret is no secret: anybody could sign with it.
    keys = [secret.encode() for secret in secrets if secret]
    expected = [hmac.new(key, signed, hashlib.sha256).hexdigest().encode() for key in keys]
    if not any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures):
        raise BadSignature("mismatch")
    if not -future <= now - int(times[0]) <= tolerance:
        raise BadSignature("stale")
