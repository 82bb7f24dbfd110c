"""The control room: what payers, banks and Stripe's dashboard do, without their pages. Documented in the README."""

from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox.control import asked
from sandbox.state import Json
from sandbox.stripe import disputes, payments, refunds, sessions
from sandbox.stripe.clockwork import catch_up
from sandbox.stripe.errors import StripeError
from sandbox.stripe.ledger import ONLY_FOR_US, Ledger


def truth(ledger: Ledger) -> Json:
    """Every object, and per PaymentIntent the sums in the minor unit of its currency."""
    payments_told: Json = {}
    for payment_id, payment in ledger.rows("payment_intent").items():
        of_payment = [row for row in ledger.rows("refund").values() if row["payment_intent"] == payment_id]
        lost = [row for row in ledger.rows("dispute").values() if row["payment_intent"] == payment_id]
        payments_told[payment_id] = {
            "currency": payment["currency"],
            "captured": payment["amount_received"],
            "refunded": sum(row["amount"] for row in of_payment if row["status"] == "succeeded"),
            "refunds_on_the_way": sum(row["amount"] for row in of_payment if row["status"] in refunds.ON_THE_WAY),
            "lost": sum(row["amount"] for row in lost if row["status"] == "lost"),
        }
    objects = {kind: list(rows.values()) for kind, rows in ledger.state.tables.items() if kind not in ONLY_FOR_US}
    return {"payments": payments_told, "objects": objects}


def add_rooms(room: Blueprint, ledger: Ledger) -> None:
    """Add Stripe's own doors to the control room."""

    def base() -> str:
        return request.host_url.rstrip("/")

    @room.before_request
    def _catch_up() -> None:
        # A flush brings everything, so also what Stripe would tell in the next seconds.
        catch_up(ledger, follow_ups_too=request.path.endswith("/flush"))

    @room.post("/checkout/<session_id>")
    def _checkout(session_id: str) -> Response:
        """{action: pay | decline | pay_later, amount?, currency?, email?, name?}"""
        with ledger.state.changing():
            want = asked()
            session = ledger.find("checkout.session", session_id)
            action = _word(want, "action", ("pay", "decline", "pay_later"))
            payer = {**sessions.PAYER, **{key: want[key] for key in sessions.PAYER if key in want}}
            sessions.submit(
                ledger,
                session,
                action,
                base=base(),
                payer=payer if "email" in want or "name" in want else None,
                amount=want.get("amount"),
                currency=want.get("currency"),
            )
            return jsonify(session)

    @room.post("/async/<session_id>")
    def _async(session_id: str) -> Response:
        """{result: succeeded | failed}"""
        with ledger.state.changing():
            session = ledger.find("checkout.session", session_id)
            result = _word(asked(), "result", ("succeeded", "failed"))
            return jsonify(sessions.hear_from_bank(ledger, session, result, base=base()))

    @room.post("/payment")
    def _payment() -> Response:
        """{amount, currency, metadata?}: money that no session asked for."""
        with ledger.state.changing():
            want = asked()
            paid = payments.pay_directly(
                ledger,
                amount=int(want["amount"]),
                currency=str(want["currency"]),
                metadata=want.get("metadata", {}),
                base=base(),
            )
            return jsonify(paid)

    @room.post("/refund")
    def _refund() -> Response:
        """{payment_intent, amount?, metadata?}: made in the dashboard, by nobody's API call."""
        with ledger.state.changing():
            return jsonify(refunds.create(ledger, asked()))

    @room.post("/refund/next")
    def _next_refund() -> Response:
        """{status, pending_reason?} or {error: balance_insufficient}: how the next refund starts."""
        with ledger.state.changing():
            ledger.rows("planned_refund")["next"] = asked()
            return jsonify(ledger.rows("planned_refund")["next"])

    @room.post("/refund/<refund_id>")
    def _refund_becomes(refund_id: str) -> Response:
        """{status, failure_reason?}: the bank's news."""
        with ledger.state.changing():
            want, refund = asked(), ledger.find("refund", refund_id)
            return jsonify(refunds.become(ledger, refund, want["status"], want.get("failure_reason", "unknown")))

    @room.post("/dispute")
    def _dispute() -> Response:
        """{payment_intent | charge, amount?, reason?, inquiry?}"""
        with ledger.state.changing():
            want = asked()
            charge_id = want.get("charge") or ledger.find("payment_intent", want["payment_intent"])["latest_charge"]
            opened = disputes.open_dispute(
                ledger,
                ledger.find("charge", charge_id),
                amount=want.get("amount"),
                reason=want.get("reason", "general"),
                inquiry=bool(want.get("inquiry", False)),
            )
            return jsonify(opened)

    @room.post("/dispute/<dispute_id>")
    def _dispute_becomes(dispute_id: str) -> Response:
        """{status?, is_charge_refundable?, due_by?}: the bank's news."""
        with ledger.state.changing():
            want, dispute = asked(), ledger.find("dispute", dispute_id)
            if "due_by" in want:
                dispute["evidence_details"]["due_by"] = want["due_by"]
            if "status" in want:
                disputes.become(ledger, dispute, want["status"])
            if "is_charge_refundable" in want:
                dispute["is_charge_refundable"] = bool(want["is_charge_refundable"])
            return jsonify(dispute)

    @room.errorhandler(StripeError)
    def _refused(refusal: StripeError) -> tuple[Response, int]:
        return jsonify(error=str(refusal)), refusal.status


def _word(want: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    if want.get(name) not in choices:
        raise StripeError(f"{name} must be one of {', '.join(choices)}")
    return str(want[name])
