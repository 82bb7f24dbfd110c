"""PaymentIntents, charges, and what they move on the balance."""

from sandbox.state import Json

NO_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def payment_intent(
    payment_intent_id: str, *, created: int, amount: int, currency: str, secret: str, methods: list[str], asked: Json
) -> Json:
    """A PaymentIntent before its first try; `asked` is the checked `payment_intent_data`."""
    return {
        "id": payment_intent_id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": asked.get("capture_method", "automatic_async"),
        "client_secret": f"{payment_intent_id}_secret_{secret}",
        "confirmation_method": "automatic",
        "created": created,
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": asked.get("description"),
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": asked.get("metadata", {}),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": methods,
        "processing": None,
        "receipt_email": asked.get("receipt_email"),
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": asked.get("statement_descriptor"),
        "statement_descriptor_suffix": asked.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def charge(charge_id: str, *, created: int, payment: Json, method_id: str, method_type: str, payer: Json) -> Json:
    """A charge that is on its way (`pending`): neither succeeded nor failed yet.

    `amount_captured` is the whole amount already, and says nothing about money received.
    """
    return {
        "id": charge_id,
        "object": "charge",
        "amount": payment["amount"],
        "amount_captured": payment["amount"],
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {
            "address": dict(NO_ADDRESS),
            "email": payer["email"],
            "name": payer["name"],
            "phone": None,
            "tax_id": None,
        },
        "calculated_statement_descriptor": "LOCAL SANDBOX",
        "captured": True,
        "created": created,
        "currency": payment["currency"],
        "customer": None,
        "description": payment["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(payment["metadata"]),
        "on_behalf_of": None,
        "outcome": outcome("authorized"),
        "paid": False,
        "payment_intent": payment["id"],
        "payment_method": method_id,
        "payment_method_details": _method_details(method_type),
        "receipt_email": payment["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": payment["statement_descriptor"],
        "statement_descriptor_suffix": payment["statement_descriptor_suffix"],
        "status": "pending",
        "transfer_data": None,
        "transfer_group": None,
    }


def outcome(kind: str) -> Json:
    """What the bank said: `authorized` or `issuer_declined`."""
    approved = kind == "authorized"
    return {
        "advice_code": None if approved else "try_again_later",
        "network_advice_code": None,
        "network_decline_code": None if approved else "01",
        "network_status": "approved_by_network" if approved else "declined_by_network",
        "reason": None if approved else "generic_decline",
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": "Payment complete." if approved else "The bank did not return any further details.",
        "type": kind,
    }


def _method_details(method_type: str) -> Json:
    if method_type != "card":
        return {method_type: {"last4": "6789"}, "type": method_type}
    return {
        "card": {
            "amount_authorized": None,
            "authorization_code": None,
            "brand": "visa",
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "exp_month": 8,
            "exp_year": 2034,
            "fingerprint": "LocalSandboxCard",
            "funding": "credit",
            "installments": None,
            "last4": "4242",
            "mandate": None,
            "network": "visa",
            "network_token": {"used": False},
            "network_transaction_id": None,
            "three_d_secure": None,
            "wallet": None,
        },
        "type": "card",
    }


def balance_transaction(
    transaction_id: str,
    *,
    created: int,
    amount: int,
    currency: str,
    fee: int,
    rate: float | None,
    kind: str,
    source: str,
    description: str | None = None,
) -> Json:
    """A movement on the account's balance, in the balance's currency."""
    return {
        "id": transaction_id,
        "object": "balance_transaction",
        "amount": amount,
        "available_on": created + 2 * 86400,
        "balance_type": "payments",
        "created": created,
        "currency": currency,
        "description": description,
        "exchange_rate": rate,
        "fee": fee,
        "fee_details": (
            [{"amount": fee, "application": None, "currency": currency, "description": "Fee", "type": "stripe_fee"}]
            if fee
            else []
        ),
        "net": amount - fee,
        "reporting_category": "dispute" if kind == "adjustment" else kind,
        "source": source,
        "status": "pending",
        "type": kind,
    }
