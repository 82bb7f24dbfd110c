"""The doors of Calendly and Stripe: verify, keep, hand on. No outbound call, no work, two statements.

Plain Django views on raw bytes. They answer 200 once the delivery is stored, also for a doubled one and for what
does not concern us; a 5xx only if storing failed (DESIGN 6.14).
"""

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from api.errors import InvalidRequest, WebhookVerificationFailed
from api.json import WEBHOOK_MAX_BYTES, WEBHOOK_MAX_DEPTH, UnstorableText, json_body, strict_loads
from webhooks import inbox, naming
from webhooks.signatures import BadSignature, check_signature


@csrf_exempt
@require_POST
def calendly(request: HttpRequest) -> JsonResponse:
    """`POST /api/webhooks/calendly` (contract section 1.2)."""
    return _receive(
        request,
        provider="calendly",
        header="Calendly-Webhook-Signature",
        secrets=settings.CALENDLY_WEBHOOK_SIGNING_KEYS,
        tolerance=settings.WEBHOOK_TOLERANCE_CALENDLY,
        name_of=naming.calendly_delivery,
    )


@csrf_exempt
@require_POST
def stripe(request: HttpRequest) -> JsonResponse:
    """`POST /api/webhooks/stripe` (contract section 1.2)."""
    return _receive(
        request,
        provider="stripe",
        header="Stripe-Signature",
        secrets=settings.STRIPE_WEBHOOK_SECRETS,
        tolerance=settings.WEBHOOK_TOLERANCE_STRIPE,
        name_of=naming.stripe_delivery,
    )


def _receive(
    request: HttpRequest,
    *,
    provider: str,
    header: str,
    secrets: list[str],
    tolerance: int,
    name_of: Callable[[dict[str, Any], bytes], tuple[str, str]],
) -> JsonResponse:
    body = json_body(request, max_bytes=WEBHOOK_MAX_BYTES)
    try:
        check_signature(
            request.headers.get(header, ""),
            body,
            secrets=secrets,
            now=int(time.time()),
            tolerance=tolerance,
            future=settings.WEBHOOK_TOLERANCE_FUTURE,
        )
    except BadSignature as bad:
        raise WebhookVerificationFailed(details={"reason": bad.reason}) from None
    try:
        parsed = strict_loads(body, max_bytes=WEBHOOK_MAX_BYTES, max_depth=WEBHOOK_MAX_DEPTH)
        name, key = name_of(parsed, body)
    except UnstorableText:
        # An object all the same: it is kept, and parked when it is read.
        name, key = "", naming.digest(body)
    except InvalidRequest as refused:
        raise InvalidRequest(refused.message) from None
    inbox.keep(provider, name, key, body)
    return JsonResponse({"success": True, "message": "Webhook received"})
