"""Checkout sessions: opened by the API, paid on the hosted page, expired by the API or the clock."""

from sandbox.state import Json
from sandbox.stripe import payments, shapes
from sandbox.stripe.errors import StripeError, not_here
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.money import check_amount

SHORTEST, LONGEST = 30 * 60, 24 * 3600
"""Bounds of `expires_at`, in seconds after the session's creation; without it a session lasts the longest."""

PAYER = {"email": "client@example.com", "name": "Sandbox Payer"}


def open_session(ledger: Ledger, asked: Json, *, base: str) -> Json:
    """A new session; `asked` are the checked parameters, `base` is where the hosted page is served."""
    items = _priced(asked)
    currency = items[0]["price_data"]["currency"]
    now = ledger.now()
    asked = {"expires_at": now + LONGEST, **asked}
    if "success_url" not in asked:
        raise StripeError("Missing required param: success_url.", code="parameter_missing", param="success_url")
    if asked["expires_at"] < now + SHORTEST:
        raise StripeError(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
            param="expires_at",
        )
    if asked["expires_at"] > now + LONGEST:
        raise StripeError(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    methods = _method_types(asked.get("payment_method_types"), currency)
    total = sum(item["price_data"]["unit_amount"] * item["quantity"] for item in items)
    check_amount(total, currency)
    session_id = ledger.state.new_id("cs_test_a1", 56)
    ledger.rows("order")[session_id] = {
        "payment_intent_data": asked.get("payment_intent_data", {}),
        "line_items": [
            shapes.line_item(
                ledger.state.new_id("li_1"),
                price_id=ledger.state.new_id("price_1"),
                product_id=ledger.state.new_id("prod_", 14),
                created=now,
                asked=item,
            )
            for item in items
        ],
    }
    ledger.later(asked["expires_at"] - ledger.state.now(), "expire_session", session_id)
    return ledger.keep(
        shapes.session(
            session_id,
            created=now,
            asked=asked,
            total=total,
            currency=currency,
            method_types=methods,
            url=f"{base}/c/pay/{session_id}",
        )
    )


def expire(ledger: Ledger, session: Json) -> Json:
    """End an open session. Raises StripeError for any other."""
    _must_be_open(session, "expired")
    ledger.not_later("expire_session", session["id"])
    session.update(status="expired", url=None)
    if session["payment_intent"] is not None:
        payments.cancel(ledger, ledger.find("payment_intent", session["payment_intent"]), "expired")
    ledger.tell("checkout.session.expired", session)
    return session


def expire_by_clock(ledger: Ledger, session_id: str) -> None:
    """The session's time is over."""
    expire(ledger, ledger.find("checkout.session", session_id))


def submit(
    ledger: Ledger,
    session: Json,
    action: str,
    *,
    base: str,
    payer: Json | None = None,
    amount: int | None = None,
    currency: str | None = None,
) -> Json:
    """The payer presses a button: `pay`, `decline` (the bank says no) or `pay_later` (a delayed method).

    `amount` and `currency` make the payment another one than the session asks for. Raises StripeError if the session
    is not open, or takes no delayed method.
    """
    _must_be_open(session, "paid")
    payer = payer or {**PAYER, "email": session["customer_email"] or PAYER["email"]}
    method = "card" if action != "pay_later" else delayed_method(session)
    if method is None:
        raise StripeError("This Checkout Session takes no delayed payment method.")
    payment = _payment_of(ledger, session, amount=amount, currency=currency)
    charge = payments.try_charge(ledger, payment, method=method, payer=payer)
    session["payment_intent"] = payment["id"]
    if action == "decline":
        payments.fail(ledger, charge)
        return session
    ledger.not_later("expire_session", session["id"])
    if action == "pay":
        payments.succeed(ledger, charge, base=base)
    session.update(
        status="complete",
        payment_status="paid" if action == "pay" else "unpaid",
        url=None,
        customer_details=shapes.customer_details(payer["email"], payer["name"]),
    )
    ledger.tell("checkout.session.completed", session)
    if action == "pay_later":
        payments.wait(ledger, charge)
    return session


def hear_from_bank(ledger: Ledger, session: Json, result: str, *, base: str) -> Json:
    """The delayed payment of a complete session `succeeded` or `failed`."""
    payment_id = session["payment_intent"]
    payment = ledger.find("payment_intent", payment_id) if payment_id else None
    if payment is None or payment["status"] != "processing":
        raise StripeError("This Checkout Session waits for no bank.")
    charge = ledger.find("charge", payment["latest_charge"])
    if result == "succeeded":
        payments.succeed(ledger, charge, base=base)
        session["payment_status"] = "paid"
    else:
        payments.fail(ledger, charge)
    ledger.tell(f"checkout.session.async_payment_{result}", session)
    return session


def delayed_method(session: Json) -> str | None:
    """The delayed payment method that this session takes."""
    return next((method for method in session["payment_method_types"] if method in payments.DELAYED.values()), None)


def _must_be_open(session: Json, wanted: str) -> None:
    if session["status"] != "open":
        raise StripeError(
            f'Only Checkout Sessions with a status in ["open"] can be {wanted}. This Checkout Session has a status of'
            f" `{session['status']}`.",
            ran=True,
        )


def _payment_of(ledger: Ledger, session: Json, *, amount: int | None, currency: str | None) -> Json:
    """The session's PaymentIntent, which is made at the first try and kept for the next."""
    if session["payment_intent"] is not None:
        return ledger.find("payment_intent", session["payment_intent"])
    return payments.begin(
        ledger,
        amount=session["amount_total"] if amount is None else amount,
        currency=currency or session["currency"],
        methods=session["payment_method_types"],
        asked=ledger.rows("order")[session["id"]]["payment_intent_data"],
    )


def _priced(asked: Json) -> list[Json]:
    """The line items, each with what payment mode needs. Raises StripeError as Stripe does."""
    items: list[Json] = asked.get("line_items", [])
    missing = "" if items else "line_items"
    for place, item in enumerate(items):
        for path in (["price_data"], ["price_data", "product_data"], ["price_data", "unit_amount"], ["quantity"]):
            inner: Json | None = item
            for key in path:
                inner = inner.get(key) if inner is not None else None
            if inner is None and not missing:
                missing = f"line_items[{place}]" + "".join(f"[{key}]" for key in path)
    if missing:
        raise StripeError(f"Missing required param: {missing}.", code="parameter_missing", param=missing)
    if len({item["price_data"]["currency"] for item in items}) > 1:
        raise StripeError("All line items must have the same currency.", param="line_items")
    return items


def _method_types(asked: list[str] | None, currency: str) -> list[str]:
    """What was asked for, or what the dashboard of this account offers for the currency."""
    fitting = ["card", *([payments.DELAYED[currency]] if currency in payments.DELAYED else [])]
    if asked is None:
        return fitting
    for method in asked:
        if method in fitting:
            continue
        if method in payments.DELAYED.values():
            raise StripeError(
                f"The currency provided ({currency}) is invalid for one or more payment method types specified.",
                param="payment_method_types",
            )
        raise not_here(f"the payment method {method}", "payment_method_types")
    return asked
