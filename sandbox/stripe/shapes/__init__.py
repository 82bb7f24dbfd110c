"""How Stripe's objects look when they are new. Ids, amounts and times are given; the rest is what Stripe would say."""

from sandbox.stripe.shapes.account import account, event, listed, webhook_endpoint
from sandbox.stripe.shapes.afterwards import EVIDENCE, EVIDENCE_TEXTS, dispute, refund
from sandbox.stripe.shapes.checkout import customer_details, line_item, session
from sandbox.stripe.shapes.payment import balance_transaction, charge, outcome, payment_intent

__all__ = [
    "EVIDENCE",
    "EVIDENCE_TEXTS",
    "account",
    "balance_transaction",
    "charge",
    "customer_details",
    "dispute",
    "event",
    "line_item",
    "listed",
    "outcome",
    "payment_intent",
    "refund",
    "session",
    "webhook_endpoint",
]
