"""Disputes: opened and decided by the bank (the control room), answered by the API."""

from sandbox.state import Json
from sandbox.stripe import payments, shapes
from sandbox.stripe.errors import StripeError
from sandbox.stripe.ledger import Ledger

DAYS_TO_ANSWER = 10
FEE = 1500
"""For a chargeback that is received, in cents of the balance. Not returned, won or lost."""
ALL_TEXTS_AT_MOST = 150_000

NEXT = {
    "warning_needs_response": ("warning_under_review", "warning_closed", "needs_response"),
    "warning_under_review": ("warning_closed", "needs_response"),
    "needs_response": ("under_review", "won", "lost"),
    "under_review": ("won", "lost"),
}
"""What the bank may make of a dispute; an inquiry may become a chargeback."""


def open_dispute(ledger: Ledger, charge: Json, *, amount: int | None, reason: str, inquiry: bool) -> Json:
    """The payer went to the bank. An inquiry moves no money yet, and the charge may still be refunded."""
    if charge["status"] != "succeeded":
        raise StripeError(f"Charge {charge['id']} took no money.")
    payments.settle_charge(ledger, charge["id"])
    dispute = ledger.keep(
        shapes.dispute(
            ledger.state.new_id("dp_1"),
            created=ledger.now(),
            charge=charge,
            amount=charge["amount"] if amount is None else amount,
            reason=reason,
            inquiry=inquiry,
            refundable=inquiry,
            due_by=ledger.now() + DAYS_TO_ANSWER * 86400,
        )
    )
    charge["disputed"] = True
    ledger.tell("charge.dispute.created", dispute)
    if not inquiry:
        _withdraw(ledger, dispute)
    return dispute


def become(ledger: Ledger, dispute: Json, status: str) -> Json:
    """The bank's news. Raises StripeError if a dispute cannot become this."""
    before = dispute["status"]
    if status not in NEXT.get(before, ()):
        raise StripeError(f"A dispute that is {before} cannot become {status}.")
    dispute["status"] = status
    if before.startswith("warning") and status == "needs_response":
        dispute["is_charge_refundable"] = False
        dispute["payment_method_details"]["card"]["case_type"] = "chargeback"
        _withdraw(ledger, dispute)
    if status in ("won", "lost", "warning_closed"):
        dispute["is_charge_refundable"] = status != "lost"
        ledger.tell("charge.dispute.closed", dispute, {"status": before})
    else:
        ledger.tell("charge.dispute.updated", dispute, {"status": before})
    if status == "won":
        moved = ledger.move_balance("adjustment", dispute["amount"], dispute["currency"], source=dispute["id"])
        dispute["balance_transactions"].append(moved)
        ledger.tell("charge.dispute.funds_reinstated", dispute)
    return dispute


def update(ledger: Ledger, dispute: Json, asked: Json) -> Json:
    """Stage evidence, and send it to the bank unless `submit=false`: sending is the default, and final."""
    if dispute["status"] not in ("needs_response", "warning_needs_response"):
        raise StripeError(f"This dispute is {dispute['status']} and cannot be updated.", ran=True)
    if dispute["evidence_details"]["due_by"] < ledger.now():
        dispute["evidence_details"]["past_due"] = True
        raise StripeError("The time to answer this dispute is over.", ran=True)
    evidence = {**dispute["evidence"]}
    evidence.update({key: value or None for key, value in asked.get("evidence", {}).items()})
    if sum(len(evidence[key] or "") for key in shapes.EVIDENCE_TEXTS) > ALL_TEXTS_AT_MOST:
        raise StripeError(
            f"The evidence's texts are longer than {ALL_TEXTS_AT_MOST} characters together.", param="evidence"
        )
    dispute["evidence"] = evidence
    dispute["metadata"].update(asked.get("metadata", {}))
    dispute["evidence_details"]["has_evidence"] = any(evidence[key] for key in shapes.EVIDENCE)
    before = dispute["status"]
    if asked.get("submit", True):
        dispute["evidence_details"]["submission_count"] += 1
        dispute["status"] = "warning_under_review" if before.startswith("warning") else "under_review"
    ledger.tell("charge.dispute.updated", dispute, {"status": before} if dispute["status"] != before else {})
    return dispute


def close(ledger: Ledger, dispute: Json) -> Json:
    """Accept the dispute: it is lost, and stays so."""
    if dispute["status"] != "needs_response":
        raise StripeError(f"This dispute is {dispute['status']} and cannot be closed.", ran=True)
    return become(ledger, dispute, "lost")


def blocks_refunds(dispute: Json) -> bool:
    """Whether Stripe refuses to refund the charge because of it."""
    return dispute["status"] not in ("won", "warning_closed") and not dispute["is_charge_refundable"]


def close_inquiries(ledger: Ledger, charge: Json) -> None:
    """The whole charge was refunded: what was only a question is answered."""
    for dispute in ledger.rows("dispute").values():
        if dispute["charge"] == charge["id"] and dispute["status"].startswith("warning_") and dispute["status"] in NEXT:
            become(ledger, dispute, "warning_closed")


def _withdraw(ledger: Ledger, dispute: Json) -> None:
    moved = ledger.move_balance(
        "adjustment", -dispute["amount"], dispute["currency"], source=dispute["id"], with_fee=FEE
    )
    dispute["balance_transactions"].append(moved)
    ledger.tell("charge.dispute.funds_withdrawn", dispute)
