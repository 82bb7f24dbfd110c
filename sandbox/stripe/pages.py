"""The pages for people: the hosted Checkout page and the receipt."""

from flask import Blueprint, Response, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from sandbox.state import Json
from sandbox.stripe import sessions
from sandbox.stripe.clockwork import catch_up
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.money import written

PLACEHOLDER = "{CHECKOUT_SESSION_ID}"


def pages(ledger: Ledger) -> Blueprint:
    """`/c/pay/<session>`, `/receipts/<charge>`."""
    blueprint = Blueprint("pages", __name__, template_folder="templates")
    blueprint.add_app_template_filter(written)

    def checkout_page(session: Json | None, status: int = 200, notice: str = "") -> Response:
        lines = ledger.rows("order")[session["id"]]["line_items"] if session else []
        waiting = False
        if session and session["payment_intent"]:
            waiting = ledger.find("payment_intent", session["payment_intent"])["status"] == "processing"
        return make_response(
            render_template(
                "stripe/checkout.html",
                session=session,
                lines=lines,
                delayed=session and sessions.delayed_method(session),
                waiting=waiting,
                notice=notice,
            ),
            status,
        )

    @blueprint.get("/c/pay/<session_id>")
    def _look(session_id: str) -> Response:
        with ledger.state.lock:
            catch_up(ledger)
            session = ledger.rows("checkout.session").get(session_id)
            return checkout_page(session, 200 if session else 404)

    @blueprint.post("/c/pay/<session_id>")
    def _press(session_id: str) -> AnyResponse:
        with ledger.state.changing():
            catch_up(ledger)
            session = ledger.rows("checkout.session").get(session_id)
            action = request.form.get("action", "")
            if session is None:
                return checkout_page(None, 404)
            base = request.host_url.rstrip("/")
            if action in ("bank_pays", "bank_refuses") and session["status"] == "complete":
                sessions.hear_from_bank(ledger, session, "succeeded" if action == "bank_pays" else "failed", base=base)
                return checkout_page(session, notice="The bank has answered.")
            if session["status"] != "open":
                return checkout_page(session, 409)
            if action == "abandon" and session["cancel_url"]:
                return redirect(session["cancel_url"], 303)
            if action not in ("pay", "decline", "pay_later") or (action == "pay_later" and not _takes_delayed(session)):
                return checkout_page(session, 400, notice="There is no such button.")
            address = session["customer_email"] or request.form.get("email") or sessions.PAYER["email"]
            sessions.submit(ledger, session, action, base=base, payer={**sessions.PAYER, "email": address})
            if action == "decline":
                return checkout_page(session, 402, notice="Your card was declined. Please try a different card.")
            return redirect(session["success_url"].replace(PLACEHOLDER, session["id"]), 303)

    @blueprint.get("/receipts/<charge_id>")
    def _receipt(charge_id: str) -> Response:
        with ledger.state.lock:
            charge = ledger.rows("charge").get(charge_id)
            status = 200 if charge and charge["receipt_url"] else 404
            return make_response(
                render_template("stripe/receipt.html", charge=charge if status == 200 else None), status
            )

    return blueprint


def _takes_delayed(session: Json) -> bool:
    return sessions.delayed_method(session) is not None
