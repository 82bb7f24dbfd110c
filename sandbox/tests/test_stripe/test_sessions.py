"""Checkout sessions of the local Stripe, asked for by Stripe's own SDK and by raw calls."""

import time

import pytest
import stripe

from sandbox.tests.test_stripe.house import TALK, House

SESSIONS = "/v1/checkout/sessions"


def test_the_sdk_opens_reads_lists_and_expires_a_session(house: House):
    sessions = house.client.v1.checkout.sessions
    opened = sessions.create(
        {
            "mode": "payment",
            "line_items": [
                {
                    "price_data": {
                        "currency": "eur",
                        "unit_amount": 4500,
                        "product_data": {"name": "A talk", "description": "One hour"},
                    },
                    "quantity": 1,
                }
            ],
            "payment_intent_data": {"metadata": {"intent": "in_1"}},
            "payment_method_types": ["card"],
            "customer_email": "ana@example.com",
            "client_reference_id": "bk_1",
            "metadata": {"intent": "in_1"},
            "submit_type": "book",
            "success_url": "https://shop.example/thanks",
            "cancel_url": "https://shop.example/back",
            "expires_at": int(time.time()) + 35 * 60,
        }
    )
    assert (opened.status, opened.payment_status, opened.payment_intent) == ("open", "unpaid", None)
    assert (opened.amount_total, opened.currency, opened.livemode) == (4500, "eur", False)
    assert opened.url == f"{house.base}/c/pay/{opened.id}"
    assert opened.customer_email == "ana@example.com"
    assert sessions.retrieve(opened.id).client_reference_id == "bk_1"
    listed = sessions.list({"created": {"gte": opened.created}, "status": "open"})
    assert [one.id for one in listed.data] == [opened.id]
    expired = sessions.expire(opened.id)
    assert (expired.status, expired.url) == ("expired", None)
    with pytest.raises(stripe.InvalidRequestError, match='Only Checkout Sessions with a status in \\["open"\\]'):
        sessions.expire(opened.id)


def test_the_payment_is_found_by_expanding(house: House):
    paid = house.paid()
    read = house.client.v1.checkout.sessions.retrieve(
        paid["id"], {"expand": ["payment_intent.latest_charge", "line_items"]}
    )
    assert (read.status, read.payment_status, read.url) == ("complete", "paid", None)
    payment = read.payment_intent
    assert isinstance(payment, stripe.PaymentIntent)
    charge = payment.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (payment.status, payment.amount_received, payment.metadata["intent"]) == ("succeeded", 4500, "in_1")
    assert (charge.paid, charge.amount_captured, charge.metadata["intent"]) == (True, 4500, "in_1")
    assert charge.receipt_url
    assert read.line_items
    assert [line.amount_total for line in read.line_items.data] == [4500]


def test_metadata_of_the_session_is_not_copied_to_the_payment(house: House):
    form = {key: value for key, value in TALK.items() if not key.startswith("payment_intent_data")}
    session = house.post(SESSIONS, form)
    house.control(f"checkout/{session['id']}", action="pay")
    paid = house.get(f"{SESSIONS}/{session['id']}", **{"expand[]": "payment_intent"})
    assert paid["metadata"] == {"intent": "in_1"}
    assert paid["payment_intent"]["metadata"] == {}


def test_a_session_expires_by_the_clock_and_takes_no_money_then(house: House):
    session = house.session(expires_at=str(int(time.time()) + 31 * 60))
    house.pass_time(30 * 60)
    assert house.get(f"{SESSIONS}/{session['id']}")["status"] == "open"
    house.pass_time(2 * 60)
    assert house.get(f"{SESSIONS}/{session['id']}")["status"] == "expired"
    kinds = [event["type"] for event in house.get("/v1/events")["data"]]
    assert kinds == ["checkout.session.expired"]
    assert house.ledger()["payments"] == {}


def test_a_declined_card_leaves_the_session_open_and_the_same_payment_is_tried_again(house: House):
    session = house.session()
    declined = house.control(f"checkout/{session['id']}", action="decline")
    assert (declined["status"], declined["payment_status"]) == ("open", "unpaid")
    payment = house.get(f"/v1/payment_intents/{declined['payment_intent']}")
    assert payment["status"] == "requires_payment_method"
    assert payment["last_payment_error"]["code"] == "card_declined"
    paid = house.control(f"checkout/{session['id']}", action="pay")
    assert (paid["status"], paid["payment_intent"]) == ("complete", payment["id"])
    charges = house.get("/v1/charges", payment_intent=payment["id"])["data"]
    assert [charge["status"] for charge in charges] == ["succeeded", "failed"]


def test_a_session_that_expires_after_a_decline_cancels_its_payment(house: House):
    session = house.session()
    declined = house.control(f"checkout/{session['id']}", action="decline")
    house.post(f"{SESSIONS}/{session['id']}/expire")
    assert house.get(f"/v1/payment_intents/{declined['payment_intent']}")["status"] == "canceled"


@pytest.mark.parametrize(("result", "payment_status"), [("succeeded", "paid"), ("failed", "unpaid")])
def test_a_delayed_method_completes_unpaid_until_the_bank_answers(house: House, result: str, payment_status: str):
    session = house.session()
    assert session["payment_method_types"] == ["card", "sepa_debit"]
    waiting = house.control(f"checkout/{session['id']}", action="pay_later")
    assert (waiting["status"], waiting["payment_status"]) == ("complete", "unpaid")
    payment = house.get(f"/v1/payment_intents/{waiting['payment_intent']}", **{"expand[]": "latest_charge"})
    assert (payment["status"], payment["amount_received"]) == ("processing", 0)
    assert (payment["latest_charge"]["status"], payment["latest_charge"]["paid"]) == ("pending", False)
    done = house.control(f"async/{session['id']}", result=result)
    assert (done["status"], done["payment_status"]) == ("complete", payment_status)
    captured = house.ledger()["payments"][payment["id"]]["captured"]
    assert captured == (4500 if result == "succeeded" else 0)


def test_cards_only_means_no_delayed_method(house: House):
    session = house.session(**{"payment_method_types[0]": "card"})
    answer = house.client.v1.checkout.sessions.retrieve(session["id"])
    assert answer.payment_method_types == ["card"]
    with pytest.raises(AssertionError, match="no delayed payment method"):
        house.control(f"checkout/{session['id']}", action="pay_later")


def test_a_payment_can_be_other_than_what_the_session_asked_for(house: House):
    paid = house.paid(amount=4400, currency="usd")
    assert (paid["amount_total"], paid["currency"]) == (4500, "eur")
    assert house.ledger()["payments"][paid["payment_intent"]]["captured"] == 4400
    assert house.get(f"/v1/payment_intents/{paid['payment_intent']}")["currency"] == "usd"


def test_money_can_come_without_any_session(house: House):
    payment = house.control("payment", amount=4500, currency="eur", metadata={"bookingId": "bk_1"})
    assert (payment["status"], payment["metadata"]) == ("succeeded", {"bookingId": "bk_1"})
    assert house.get("/v1/checkout/sessions", payment_intent=payment["id"])["data"] == []


def test_lists_are_paged_newest_first_in_both_directions(house: House):
    made = [house.session()["id"] for _ in range(5)][::-1]
    first = house.get(SESSIONS, limit=2)
    assert ([row["id"] for row in first["data"]], first["has_more"]) == (made[:2], True)
    second = house.get(SESSIONS, limit=2, starting_after=made[1])
    assert ([row["id"] for row in second["data"]], second["has_more"]) == (made[2:4], True)
    last = house.get(SESSIONS, limit=2, starting_after=made[3])
    assert ([row["id"] for row in last["data"]], last["has_more"]) == (made[4:], False)
    back = house.get(SESSIONS, limit=2, ending_before=made[3])
    assert ([row["id"] for row in back["data"]], back["has_more"]) == (made[1:3], True)
    every = house.client.v1.checkout.sessions.list({"limit": 2}).auto_paging_iter()
    assert [one.id for one in every] == made


def test_the_charge_reaches_the_balance_later_in_the_accounts_currency_less_a_fee(house: House):
    paid = house.paid()
    charge_id = house.get(f"/v1/payment_intents/{paid['payment_intent']}")["latest_charge"]
    assert house.get(f"/v1/charges/{charge_id}")["balance_transaction"] is None
    house.pass_time(3)
    charge = house.get(f"/v1/charges/{charge_id}", **{"expand[]": "balance_transaction"})
    moved = charge["balance_transaction"]
    assert (moved["currency"], moved["amount"], moved["exchange_rate"]) == ("usd", 4860, 1.08)
    assert moved["net"] == moved["amount"] - moved["fee"]
    assert [row["id"] for row in house.get("/v1/balance_transactions", source=charge_id)["data"]] == [moved["id"]]
