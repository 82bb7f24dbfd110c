"""What a delivery of Stripe's says, recorded in the flow that it is about.

Objects are believed as far as they join with what is known (LIFECYCLE 3); what decides about money is read again.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from api.json import WEBHOOK_MAX_BYTES, WEBHOOK_MAX_DEPTH, UnstorableText, strict_loads
from bookings.attention import raise_attention
from bookings.facts import AsyncResult, AttentionKind
from bookings.locked import Cause
from payments import mirror, stripe_api
from payments.finding import flow_of_money
from payments.records import is_contradicted, record_checkout, record_dispute, record_payment, record_refund
from payments.settlement import settled_flow
from payments.stripe_objects import (
    NoPaymentIntent,
    PaymentSeen,
    UnknownObject,
    parse_charge,
    parse_checkout,
    parse_dispute,
    parse_payment_intent,
    parse_refund,
)
from webhooks.inbox import Ignored, Parked
from webhooks.models import Delivery

Event = dict[str, Any]
ASYNC_RESULTS = {
    "checkout.session.async_payment_succeeded": AsyncResult.SUCCEEDED,
    "checkout.session.async_payment_failed": AsyncResult.FAILED,
}


def read_stripe(delivery: Delivery) -> str:
    """Record what the event says, then copy its object for staff; returns the flow's id."""
    try:
        event = strict_loads(bytes(delivery.body), max_bytes=WEBHOOK_MAX_BYTES, max_depth=WEBHOOK_MAX_DEPTH)
    except UnstorableText as error:
        raise Parked(error.message) from error
    name, obj, happened_at = _opened(event)
    reader = next((reader for prefix, reader in READERS.items() if name.startswith(prefix)), None)
    if reader is None:
        raise Ignored("No rule for this type")
    try:
        flow_id = reader(name, obj, happened_at, Cause.delivery("stripe", delivery.id))
    except NoPaymentIntent as error:
        raise Ignored("No payment intent: not made by a checkout") from error
    except UnknownObject as error:
        raise Parked(f"Not understood: {error}") from error
    if flow_id is None:
        raise Ignored("No booking of ours")
    mirror.mirror_event(event)
    return flow_id


def _opened(event: Event) -> tuple[str, dict[str, Any], datetime]:
    """The event's type, object and time, if it is one of our own account and mode."""
    data = event.get("data")
    name, created = event.get("type"), event.get("created")
    obj = data.get("object") if isinstance(data, dict) else None
    if not isinstance(name, str) or type(created) is not int or not isinstance(obj, dict):
        raise Parked("Not a Stripe event")
    if event.get("account") not in (None, settings.STRIPE_ACCOUNT_ID or None):
        raise Ignored("Another account")
    if event.get("livemode") is not settings.STRIPE_LIVEMODE:
        raise Ignored("Live mode and test mode do not mix")
    try:
        return name, obj, datetime.fromtimestamp(created, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Parked("Not a time") from error


def _checkout(name: str, obj: Event, happened_at: datetime, cause: Cause) -> str | None:
    seen = parse_checkout(obj)
    flow_id = flow_of_money(
        seen.metadata,
        session_id=seen.session_id,
        payment_intent_id=seen.payment_intent_id,
        booking_id=seen.client_reference_id,
    )
    if flow_id:
        with settled_flow(flow_id, cause) as flow:
            record_checkout(flow, seen, happened_at=happened_at, async_result=ASYNC_RESULTS.get(name, AsyncResult.NONE))
    return flow_id


def _payment_intent(_name: str, obj: Event, happened_at: datetime, cause: Cause) -> str | None:
    return _payment(parse_payment_intent(obj), happened_at, cause)


def _charge(_name: str, obj: Event, happened_at: datetime, cause: Cause) -> str | None:
    return _payment(parse_charge(obj), happened_at, cause)


def _payment(seen: PaymentSeen, happened_at: datetime, cause: Cause) -> str | None:
    flow_id = flow_of_money(seen.metadata, payment_intent_id=seen.payment_intent_id, charge_id=seen.charge_id)
    if flow_id:
        with settled_flow(flow_id, cause) as flow:
            record_payment(flow, seen, happened_at=happened_at)
    return flow_id


def _refund(_name: str, obj: Event, _happened_at: datetime, cause: Cause) -> str | None:
    seen = parse_refund(obj)
    flow_id, payment = _flow_of_payment(seen.metadata, seen.payment_intent_id, seen.charge_id)
    if flow_id:
        with settled_flow(flow_id, cause) as flow:
            if payment:
                record_payment(flow, payment, read=True)
            record_refund(flow, seen)
    return flow_id


def _dispute(_name: str, obj: Event, _happened_at: datetime, cause: Cause) -> str | None:
    seen = parse_dispute(obj)
    flow_id, payment = _flow_of_payment({}, seen.payment_intent_id, seen.charge_id)
    if flow_id:
        with settled_flow(flow_id, cause) as flow:
            if payment:
                record_payment(flow, payment, read=True)
            contradicted = is_contradicted(seen)
            if not contradicted:
                record_dispute(flow, seen)
        if contradicted:
            seen = stripe_api.read_dispute(seen.dispute_id)
            with settled_flow(flow_id, cause) as flow:
                record_dispute(flow, seen)
    return flow_id


def _flow_of_payment(
    metadata: dict[str, str], payment_intent_id: str | None, charge_id: str | None
) -> tuple[str | None, PaymentSeen | None]:
    """Refunds and disputes do not carry the payment's metadata: one we do not know yet is read."""
    flow_id = flow_of_money(metadata, payment_intent_id=payment_intent_id, charge_id=charge_id)
    if flow_id or not payment_intent_id:
        return flow_id, None
    payment = stripe_api.read_payment(payment_intent_id)
    return flow_of_money(payment.metadata, payment_intent_id=payment_intent_id), payment


def _fraud_warning(_name: str, obj: Event, _happened_at: datetime, _cause: Cause) -> str | None:
    payment_intent_id, charge_id = obj.get("payment_intent"), obj.get("charge")
    if not isinstance(charge_id, str) or not isinstance(payment_intent_id, str | None):
        raise UnknownObject("an early fraud warning without a charge")
    flow_id = flow_of_money({}, payment_intent_id=payment_intent_id, charge_id=charge_id)
    if flow_id:
        raise_attention(
            AttentionKind.FRAUD_WARNING, charge_id, flow_id=flow_id, text="Stripe expects a dispute of this charge"
        )
    return flow_id


READERS: dict[str, Callable[[str, Event, datetime, Cause], str | None]] = {
    "checkout.session.": _checkout,
    "payment_intent.succeeded": _payment_intent,
    "charge.dispute.": _dispute,
    "charge.refund.": _refund,
    "charge.": _charge,
    "refund.": _refund,
    "radar.early_fraud_warning.": _fraud_warning,
}
"""By the beginning of the event's type; the first that fits."""
