"""PaymentIntents and charges: a try to take money, and how it ends."""

from sandbox.state import Json
from sandbox.stripe import shapes
from sandbox.stripe.errors import ERROR_CODES_PAGE
from sandbox.stripe.ledger import Ledger

DELAYED = {
    "eur": "sepa_debit",
    "usd": "us_bank_account",
    "cad": "acss_debit",
    "gbp": "bacs_debit",
    "aud": "au_becs_debit",
}
"""Payment methods whose money comes days after the payer has agreed, and the currency that each is for."""

SETTLES_AFTER = 2.0
"""Seconds from a charge to its balance transaction (capture is `automatic_async`), told by `charge.updated`."""


def begin(ledger: Ledger, *, amount: int, currency: str, methods: list[str], asked: Json) -> Json:
    """A new PaymentIntent; `asked` is the checked `payment_intent_data`."""
    payment = ledger.keep(
        shapes.payment_intent(
            ledger.state.new_id("pi_3"),
            created=ledger.now(),
            amount=amount,
            currency=currency,
            secret=ledger.state.new_id("", 25),
            methods=methods,
            asked=asked,
        )
    )
    ledger.tell("payment_intent.created", payment)
    return payment


def try_charge(ledger: Ledger, payment: Json, *, method: str, payer: Json) -> Json:
    """Start a charge for this PaymentIntent. It is pending until `succeed`, `fail` or `wait` is called."""
    charge = ledger.keep(
        shapes.charge(
            ledger.state.new_id("ch_3" if method == "card" else "py_3"),
            created=ledger.now(),
            payment=payment,
            method_id=ledger.state.new_id("pm_1"),
            method_type=method,
            payer=payer,
        )
    )
    payment.update(latest_charge=charge["id"], payment_method=charge["payment_method"], last_payment_error=None)
    return charge


def succeed(ledger: Ledger, charge: Json, *, base: str) -> None:
    """The money was taken. `base` is where the receipt's page is served."""
    payment = ledger.find("payment_intent", charge["payment_intent"])
    charge.update(status="succeeded", paid=True, receipt_url=f"{base}/receipts/{charge['id']}")
    payment.update(status="succeeded", amount_received=payment["amount"])
    ledger.later(SETTLES_AFTER, "settle_charge", charge["id"])
    ledger.tell("charge.succeeded", charge)
    ledger.tell("payment_intent.succeeded", payment)


def fail(ledger: Ledger, charge: Json) -> None:
    """The bank said no. The PaymentIntent may be tried again."""
    payment = ledger.find("payment_intent", charge["payment_intent"])
    code, said = "card_declined", "Your card was declined."
    if charge["payment_method_details"]["type"] != "card":
        code, said = "payment_intent_payment_attempt_failed", "The payment failed."
    charge.update(
        status="failed",
        captured=False,
        amount_captured=0,
        failure_code=code,
        failure_message=said,
        outcome=shapes.outcome("issuer_declined"),
    )
    payment.update(
        status="requires_payment_method",
        payment_method=None,
        last_payment_error={
            "charge": charge["id"],
            "code": code,
            "decline_code": "generic_decline",
            "doc_url": ERROR_CODES_PAGE + code.replace("_", "-"),
            "message": said,
            "type": "card_error",
        },
    )
    ledger.tell("charge.failed", charge)
    ledger.tell("payment_intent.payment_failed", payment)


def wait(ledger: Ledger, charge: Json) -> None:
    """The bank will answer later (a delayed payment method)."""
    payment = ledger.find("payment_intent", charge["payment_intent"])
    payment["status"] = "processing"
    ledger.tell("payment_intent.processing", payment)
    ledger.tell("charge.pending", charge)


def cancel(ledger: Ledger, payment: Json, reason: str) -> None:
    """Nobody will pay this any more."""
    payment.update(status="canceled", canceled_at=ledger.now(), cancellation_reason=reason)
    ledger.tell("payment_intent.canceled", payment)


def settle_charge(ledger: Ledger, charge_id: str) -> None:
    """The charge reaches the balance, if it has not yet."""
    charge = ledger.find("charge", charge_id)
    ledger.not_later("settle_charge", charge_id)
    if charge["balance_transaction"] is None:
        kind = "charge" if charge["payment_method_details"]["type"] == "card" else "payment"
        moved = ledger.move_balance(kind, charge["amount"], charge["currency"], source=charge_id)
        charge["balance_transaction"] = moved["id"]
        ledger.tell("charge.updated", charge, {"balance_transaction": None})


def pay_directly(ledger: Ledger, *, amount: int, currency: str, metadata: dict[str, str], base: str) -> Json:
    """Money that no Checkout session asked for, as somebody may take it in Stripe's dashboard."""
    payment = begin(ledger, amount=amount, currency=currency, methods=["card"], asked={"metadata": metadata})
    payer = {"email": "client@example.com", "name": "Sandbox Payer"}
    succeed(ledger, try_charge(ledger, payment, method="card", payer=payer), base=base)
    return payment
