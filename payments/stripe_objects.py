"""What Stripe's objects say, as typed values. Pure: the same functions read webhook payloads and API answers.

Nothing here trusts a shape: a field of the wrong type raises `UnknownObject`, and no other error. Fields that we do
not name are ignored, and so are new values of open texts (`status`, `reason`), because Stripe adds both within a
version. Texts lose what PostgreSQL refuses (NUL, lone surrogates). Amounts are Stripe's integers in minor units,
beside an upper-case currency. Field by field: https://docs.stripe.com/api.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from payments.stripe_fields import Fields, JSONObject
from payments.stripe_fields import UnknownObject as UnknownObject  # for those who call us


class NoPaymentIntent(UnknownObject):
    """A charge made without a payment intent. None of ours: Checkout always makes one."""


@dataclass(frozen=True, slots=True)
class PaymentSeen:
    """What one payment intent has captured, as far as the object that we saw can tell."""

    payment_intent_id: str
    captured_minor: int
    currency: str
    charge_id: str | None
    captured_at: datetime | None
    """Stripe's time of the charge that captured the money; None while no such charge was seen (provisional)."""
    from_charge: bool
    """Whether `captured_at` and `receipt_url` were read from the charge itself."""
    receipt_url: str | None
    metadata: dict[str, str]
    livemode: bool


@dataclass(frozen=True, slots=True)
class CheckoutSeen:
    """One Checkout session."""

    session_id: str
    status: str
    """open, complete or expired; empty if Stripe does not say."""
    payment_status: str
    """paid, unpaid or no_payment_required."""
    payment_intent_id: str | None
    """None until the client submits the page."""
    amount_total_minor: int | None
    currency: str
    """Empty if Stripe does not say."""
    client_reference_id: str | None
    metadata: dict[str, str]
    created_at: datetime
    expires_at: datetime
    url: str | None
    """Stripe's page; None once the session is not open."""
    livemode: bool
    payment: PaymentSeen | None
    """What the expanded payment intent says; of a paid session that names its intent only, the total of the session."""


@dataclass(frozen=True, slots=True)
class RefundSeen:
    """One refund."""

    refund_id: str
    payment_intent_id: str | None
    charge_id: str | None
    amount_minor: int
    currency: str
    status: str
    """pending, requires_action, succeeded, failed or canceled; empty if Stripe does not say."""
    created_at: datetime
    metadata: dict[str, str]
    failure_reason: str


@dataclass(frozen=True, slots=True)
class DisputeSeen:
    """One dispute: an inquiry (`status` begins with `warning_`) or a formal chargeback."""

    dispute_id: str
    payment_intent_id: str | None
    charge_id: str | None
    amount_minor: int
    currency: str
    status: str
    reason: str
    is_charge_refundable: bool
    due_by: datetime | None
    """Until when evidence is taken; None if no answer is possible."""
    created_at: datetime
    balance_transactions: list[dict[str, str | int]]
    """Movements of our balance, for staff: id, currency (of the settlement), amount, fee, net (signed), created."""


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """An address that Stripe delivers to."""

    endpoint_id: str
    url: str
    api_version: str
    """Empty: the account's default version."""
    enabled_events: tuple[str, ...]
    status: str
    """enabled or disabled."""


def parse_checkout(obj: JSONObject) -> CheckoutSeen:
    """A `checkout.session`, with or without its payment intent expanded."""
    session = Fields(obj, "checkout.session")
    payment_intent_id = session.reference("payment_intent")
    payment_status = session.text("payment_status")
    total = session.optional("amount_total", session.amount)
    currency = session.optional("currency", session.currency) or ""
    payment = None
    if expanded := session.expanded("payment_intent"):
        payment = parse_payment_intent(expanded)
    elif payment_intent_id and payment_status == "paid" and total is not None and currency:
        payment = PaymentSeen(
            payment_intent_id=payment_intent_id,
            captured_minor=total,
            currency=currency,
            charge_id=None,
            captured_at=None,
            from_charge=False,
            receipt_url=None,
            metadata=session.metadata(),
            livemode=session.flag("livemode"),
        )
    return CheckoutSeen(
        session_id=session.identifier("id"),
        status=session.optional("status", session.text) or "",
        payment_status=payment_status,
        payment_intent_id=payment_intent_id,
        amount_total_minor=total,
        currency=currency,
        client_reference_id=session.optional("client_reference_id", session.text),
        metadata=session.metadata(),
        created_at=session.moment("created"),
        expires_at=session.moment("expires_at"),
        url=session.optional("url", session.url),
        livemode=session.flag("livemode"),
        payment=payment,
    )


def parse_payment_intent(obj: JSONObject) -> PaymentSeen:
    """A `payment_intent`; with its `latest_charge` expanded it also says when the money was captured."""
    intent = Fields(obj, "payment_intent")
    expanded = intent.expanded("latest_charge")
    charge = Fields(expanded, "charge") if expanded else None
    # The latest charge may be a declined one, which says nothing about the time of any capture.
    capturing = charge if charge and _captured_by(charge) else None
    return PaymentSeen(
        payment_intent_id=intent.identifier("id"),
        captured_minor=intent.amount("amount_received"),
        currency=intent.currency("currency"),
        charge_id=intent.reference("latest_charge"),
        captured_at=capturing.moment("created") if capturing else None,
        from_charge=capturing is not None,
        receipt_url=capturing.optional("receipt_url", capturing.url) if capturing else None,
        metadata=intent.metadata(),
        livemode=intent.flag("livemode"),
    )


def parse_charge(obj: JSONObject) -> PaymentSeen:
    """A `charge`, as what its payment intent has captured: nothing, if it was declined or only authorised."""
    charge = Fields(obj, "charge")
    payment_intent_id = charge.reference("payment_intent")
    if payment_intent_id is None:
        raise NoPaymentIntent("charge.payment_intent is empty")
    captured = _captured_by(charge)
    return PaymentSeen(
        payment_intent_id=payment_intent_id,
        captured_minor=captured,
        currency=charge.currency("currency"),
        charge_id=charge.identifier("id"),
        captured_at=charge.moment("created") if captured else None,
        from_charge=captured > 0,
        receipt_url=charge.optional("receipt_url", charge.url) if captured else None,
        metadata=charge.metadata(),
        livemode=charge.flag("livemode"),
    )


def parse_refund(obj: JSONObject) -> RefundSeen:
    """A `refund`."""
    refund = Fields(obj, "refund")
    return RefundSeen(
        refund_id=refund.identifier("id"),
        payment_intent_id=refund.reference("payment_intent"),
        charge_id=refund.reference("charge"),
        amount_minor=refund.amount("amount"),
        currency=refund.currency("currency"),
        status=refund.optional("status", refund.text) or "",
        created_at=refund.moment("created"),
        metadata=refund.metadata(),
        failure_reason=refund.optional("failure_reason", refund.text) or "",
    )


def parse_dispute(obj: JSONObject) -> DisputeSeen:
    """A `dispute`."""
    dispute = Fields(obj, "dispute")
    evidence = Fields(dispute.mapping("evidence_details"), None)
    return DisputeSeen(
        dispute_id=dispute.identifier("id"),
        payment_intent_id=dispute.reference("payment_intent"),
        charge_id=dispute.reference("charge"),
        amount_minor=dispute.amount("amount"),
        currency=dispute.currency("currency"),
        status=dispute.text("status"),
        reason=dispute.text("reason"),
        is_charge_refundable=dispute.flag("is_charge_refundable"),
        # Stripe writes 0 where the bank leaves no way to answer.
        due_by=evidence.moment("due_by") if evidence.optional("due_by", evidence.integer) else None,
        created_at=dispute.moment("created"),
        balance_transactions=[
            _movement(each) for each in dispute.optional("balance_transactions", dispute.array) or []
        ],
    )


def parse_webhook_endpoint(obj: JSONObject) -> WebhookEndpoint:
    """A `webhook_endpoint`. Its secret, shown once at creation, is not part of this value."""
    endpoint = Fields(obj, "webhook_endpoint")
    return WebhookEndpoint(
        endpoint_id=endpoint.identifier("id"),
        url=endpoint.url("url"),
        api_version=endpoint.optional("api_version", endpoint.text) or "",
        enabled_events=tuple(str(each) for each in endpoint.array("enabled_events")),
        status=endpoint.text("status"),
    )


def _captured_by(charge: Fields) -> int:
    """Minor units that the charge took; 0 unless it was paid, succeeded and was captured."""
    taken = charge.flag("paid") and charge.flag("captured") and charge.text("status") == "succeeded"
    return charge.amount("amount_captured") if taken else 0


def _movement(obj: Any) -> dict[str, str | int]:
    if not isinstance(obj, dict):
        raise UnknownObject("dispute.balance_transactions holds no objects")
    entry = Fields(obj, "balance_transaction")
    return {
        "id": entry.identifier("id"),
        "currency": entry.currency("currency"),
        **{name: entry.integer(name) for name in ("amount", "fee", "net", "created")},
    }
