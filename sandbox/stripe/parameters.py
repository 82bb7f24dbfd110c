"""What each call takes. Names and bounds are those of Stripe's description for 2026-05-27.dahlia."""

from importlib.resources import files

from sandbox.stripe import API_VERSION
from sandbox.stripe.forms import (
    Check,
    currency,
    email,
    fields,
    flag,
    list_of,
    metadata,
    one_of,
    span,
    text,
    url,
    whole,
)
from sandbox.stripe.money import LARGEST
from sandbox.stripe.shapes import EVIDENCE

EVENT_NAMES = frozenset(files(__package__).joinpath("event_names.txt").read_text().split())
"""What Stripe lists for `enabled_events` of a webhook endpoint."""

EXPAND = {"expand": list_of(text(), most=20)}

LINE_ITEM = fields(
    {
        "price_data": fields(
            {
                "currency": currency,
                "unit_amount": whole(least=0, most=LARGEST),
                "product_data": fields(
                    {
                        "name": text(most=5000),
                        "description": text(most=40000),
                        "images": list_of(url, most=8),
                        "metadata": metadata,
                    },
                    required=["name"],
                    not_done=["tax_code", "unit_label"],
                ),
                "tax_behavior": one_of("exclusive", "inclusive", "unspecified"),
            },
            required=["currency"],
            not_done=["product", "recurring", "unit_amount_decimal"],
        ),
        "quantity": whole(least=1, most=999_999),
        "metadata": metadata,
    },
    not_done=["adjustable_quantity", "dynamic_tax_rates", "price", "tax_rates"],
)

PAYMENT_INTENT_DATA = fields(
    {
        "description": text(most=1000),
        "metadata": metadata,
        "receipt_email": email,
        "statement_descriptor": text(most=22),
        "statement_descriptor_suffix": text(most=22),
        "capture_method": one_of("automatic", "automatic_async", not_done=["manual"]),
    },
    not_done=[
        "application_fee_amount",
        "on_behalf_of",
        "setup_future_usage",
        "shipping",
        "transfer_data",
        "transfer_group",
    ],
)

CREATE_SESSION = fields(
    {
        "mode": one_of("payment", not_done=["setup", "subscription"]),
        "line_items": list_of(LINE_ITEM),
        "payment_intent_data": PAYMENT_INTENT_DATA,
        "payment_method_types": list_of(text(), most=60),
        "success_url": url,
        "cancel_url": url,
        "client_reference_id": text(most=200),
        "customer_email": email,
        "customer_creation": one_of("if_required", not_done=["always"]),
        "metadata": metadata,
        "expires_at": whole(),
        "submit_type": one_of("auto", "book", "donate", "pay", not_done=["subscribe"]),
        "ui_mode": one_of("hosted_page", not_done=["elements", "embedded_page"]),
        "locale": text(most=10),
        "billing_address_collection": one_of("auto", not_done=["required"]),
        "allow_promotion_codes": flag,
        "adaptive_pricing": fields({"enabled": flag}),
        **EXPAND,
    },
    required=["mode"],
    not_done=[
        "after_expiration",
        "automatic_tax",
        "branding_settings",
        "consent_collection",
        "currency",
        "custom_fields",
        "custom_text",
        "customer",
        "customer_account",
        "customer_update",
        "discounts",
        "excluded_payment_method_types",
        "integration_identifier",
        "invoice_creation",
        "managed_payments",
        "name_collection",
        "optional_items",
        "origin_context",
        "payment_method_collection",
        "payment_method_configuration",
        "payment_method_data",
        "payment_method_options",
        "permissions",
        "phone_number_collection",
        "redirect_on_completion",
        "return_url",
        "saved_payment_method_options",
        "setup_intent_data",
        "shipping_address_collection",
        "shipping_options",
        "subscription_data",
        "tax_id_collection",
        "wallet_options",
    ],
)

ONLY_EXPAND = fields(EXPAND)

CREATE_REFUND = fields(
    {
        "payment_intent": text(),
        "charge": text(),
        "amount": whole(least=1),
        "reason": one_of("duplicate", "fraudulent", "requested_by_customer"),
        "metadata": metadata,
        **EXPAND,
    },
    not_done=["currency", "customer", "instructions_email", "origin", "refund_application_fee", "reverse_transfer"],
)

UPDATE_DISPUTE = fields(
    {
        "evidence": fields(dict.fromkeys(EVIDENCE, text(most=150_000, empty=True)), not_done=["enhanced_evidence"]),
        "metadata": metadata,
        "submit": flag,
        **EXPAND,
    }
)

_ENDPOINT: dict[str, Check] = {
    "url": url,
    "enabled_events": list_of(one_of("*", *sorted(EVENT_NAMES)), most=300),
    "description": text(empty=True),
    "metadata": metadata,
    **EXPAND,
}
CREATE_ENDPOINT = fields(
    {**_ENDPOINT, "api_version": one_of(API_VERSION)}, required=["enabled_events", "url"], not_done=["connect"]
)
UPDATE_ENDPOINT = fields({**_ENDPOINT, "disabled": flag})

PAGING: dict[str, Check] = {
    "limit": whole(least=1, most=100),
    "starting_after": text(),
    "ending_before": text(),
    **EXPAND,
}


def listing(*, not_done: tuple[str, ...] = (), **filters: Check) -> Check:
    """A list call: paging, and these filters."""
    return fields({**PAGING, **filters}, not_done=not_done)


LIST_SESSIONS = listing(
    created=span,
    payment_intent=text(),
    status=one_of("complete", "expired", "open"),
    customer_details=fields({"email": text()}),
    not_done=("customer", "customer_account", "payment_link", "subscription"),
)
LIST_LINE_ITEMS = listing()
LIST_PAYMENT_INTENTS = listing(created=span, not_done=("customer", "customer_account"))
LIST_CHARGES = listing(created=span, payment_intent=text(), not_done=("customer", "transfer_group"))
LIST_REFUNDS = listing(created=span, payment_intent=text(), charge=text())
LIST_DISPUTES = listing(created=span, payment_intent=text(), charge=text())
LIST_BALANCE_TRANSACTIONS = listing(created=span, source=text(), type=text(), currency=currency, not_done=("payout",))
LIST_EVENTS = listing(created=span, type=text(), types=list_of(text(), most=20), delivery_success=flag)
LIST_ENDPOINTS = listing()
