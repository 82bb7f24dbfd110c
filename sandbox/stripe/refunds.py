"""Refunds: made by the API, and what becomes of them at the bank, days later too."""

from sandbox.state import Json
from sandbox.stripe import disputes, payments, shapes
from sandbox.stripe.errors import StripeError
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.money import written

REFERENCE_AFTER = 4.0
"""Seconds from a card refund to the bank's reference number, told by `refund.updated`."""

ON_THE_WAY = ("pending", "requires_action")
NEXT = {
    "pending": ("requires_action", "succeeded", "failed", "canceled"),
    "requires_action": ("pending", "succeeded", "failed", "canceled"),
    "succeeded": ("failed",),
    "failed": (),
    "canceled": (),
}
"""What a refund may become. A succeeded one can still fail, days later."""


def create(ledger: Ledger, asked: Json) -> Json:
    """Send money back; `asked` are the checked parameters. Raises StripeError as Stripe refuses."""
    charge = _charge(ledger, asked)
    amount = _refundable(ledger, charge, asked.get("amount"))
    plan = ledger.rows("planned_refund").pop("next", {})
    if plan.get("error"):
        raise StripeError(
            "Insufficient funds in your Stripe balance to refund this amount.", code=plan["error"], ran=True
        )
    payments.settle_charge(ledger, charge["id"])
    refund = ledger.keep(
        shapes.refund(ledger.state.new_id("re_3"), created=ledger.now(), charge=charge, amount=amount, asked=asked)
    )
    by_card = charge["payment_method_details"]["type"] == "card"
    refund["status"] = plan.get("status", "succeeded" if by_card else "pending")
    if refund["status"] == "pending":
        refund["pending_reason"] = plan.get("pending_reason", "processing")
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    if refund["status"] == "succeeded" or refund.get("pending_reason") == "processing":
        _take_from_balance(ledger, refund)
    if by_card and refund["status"] == "succeeded":
        ledger.later(REFERENCE_AFTER, "give_reference", refund["id"])
    ledger.tell("refund.created", refund)
    ledger.tell("charge.refunded", charge)
    if charge["refunded"]:
        disputes.close_inquiries(ledger, charge)
    return refund


def cancel(ledger: Ledger, refund: Json) -> Json:
    """Call it back, which is possible only while it waits for the payer."""
    if refund["status"] != "requires_action":
        raise StripeError(f"Refund {refund['id']} cannot be canceled: its status is {refund['status']}.", ran=True)
    return become(ledger, refund, "canceled")


def become(ledger: Ledger, refund: Json, status: str, failure_reason: str = "unknown") -> Json:
    """The bank's news about a refund. Raises StripeError if a refund cannot become this."""
    before = refund["status"]
    if status not in NEXT.get(before, ()):
        raise StripeError(f"A refund that is {before} cannot become {status}.")
    refund["status"] = status
    refund.pop("pending_reason", None)
    if status == "pending":
        refund["pending_reason"] = "processing"
    if status == "succeeded" and refund["balance_transaction"] is None:
        _take_from_balance(ledger, refund)
    if status in ("failed", "canceled"):
        _give_back(ledger, refund)
    if status == "failed":
        refund["failure_reason"] = failure_reason
        ledger.tell("refund.failed", refund)
    ledger.tell("refund.updated", refund, {"status": before})
    if refund["destination_details"]["type"] != "card":
        ledger.tell("charge.refund.updated", refund, {"status": before})
    return refund


def give_reference(ledger: Ledger, refund_id: str) -> None:
    """The bank says under which number the payer can find the money."""
    refund = ledger.find("refund", refund_id)
    card = refund["destination_details"]["card"]
    previous = {"destination_details": {"card": {"reference_status": card["reference_status"]}}}
    card.update(reference_status="available", reference=ledger.state.new_id("", 23))
    ledger.tell("refund.updated", refund, previous)


def _charge(ledger: Ledger, asked: Json) -> Json:
    """The charge that is to be refunded."""
    if "payment_intent" not in asked and "charge" not in asked:
        raise StripeError(
            "One of the following params should be provided for this request: payment_intent or charge.",
            code="parameter_missing",
        )
    if "charge" in asked:
        charge = ledger.find("charge", asked["charge"], param="charge")
        if asked.get("payment_intent", charge["payment_intent"]) != charge["payment_intent"]:
            raise StripeError(f"Charge {charge['id']} does not belong to {asked['payment_intent']}.", param="charge")
    else:
        payment = ledger.find("payment_intent", asked["payment_intent"], param="payment_intent")
        charge = ledger.rows("charge").get(payment["latest_charge"] or "", {})
    if charge.get("status") != "succeeded":
        where = asked.get("payment_intent") or asked["charge"]
        raise StripeError(f"This PaymentIntent ({where}) does not have a successful charge to refund.", ran=True)
    return charge


def _refundable(ledger: Ledger, charge: Json, asked: int | None) -> int:
    """The amount, which is the rest if none was asked for. Raises StripeError if it cannot go back."""
    of_charge = [dispute for dispute in ledger.rows("dispute").values() if dispute["charge"] == charge["id"]]
    if any(disputes.blocks_refunds(dispute) for dispute in of_charge):
        raise StripeError(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed", ran=True
        )
    lost = sum(dispute["amount"] for dispute in of_charge if dispute["status"] == "lost")
    left = charge["amount"] - charge["amount_refunded"] - lost
    if left <= 0:
        raise StripeError(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded", ran=True)
    if asked is not None and asked > left:
        raise StripeError(
            f"Refund amount ({written(asked, charge['currency'])}) is greater than unrefunded amount on charge"
            f" ({written(left, charge['currency'])})",
            param="amount",
            ran=True,
        )
    return left if asked is None else asked


def _take_from_balance(ledger: Ledger, refund: Json) -> None:
    kind = "refund" if refund["destination_details"]["type"] == "card" else "payment_refund"
    moved = ledger.move_balance(kind, -refund["amount"], refund["currency"], source=refund["id"])
    refund["balance_transaction"] = moved["id"]


def _give_back(ledger: Ledger, refund: Json) -> None:
    """The money is ours again: what the charge says falls, which is why nobody should add it up."""
    charge = ledger.find("charge", refund["charge"])
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    if refund["balance_transaction"] is not None:
        moved = ledger.move_balance("refund_failure", refund["amount"], refund["currency"], source=refund["id"])
        refund["failure_balance_transaction"] = moved["id"]
