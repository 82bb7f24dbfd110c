"""The hosted Checkout page and the receipt, by plain HTTP as `curl` would and in a browser."""

import pytest
import requests
from playwright.sync_api import Page, expect

from sandbox.tests.test_stripe.house import House


def press(url: str, action: str, **more: str) -> requests.Response:
    return requests.post(url, data={"action": action, **more}, allow_redirects=False, timeout=5)


def test_paying_goes_on_to_the_success_url_with_the_sessions_id(house: House):
    session = house.session()
    answer = press(session["url"], "pay", email="ana@example.com")
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"https://shop.example/thanks?s={session['id']}"
    paid = house.get(f"/v1/checkout/sessions/{session['id']}")
    assert (paid["payment_status"], paid["customer_details"]["email"]) == ("paid", "ana@example.com")


def test_a_decline_is_shown_and_the_page_stays_open(house: House):
    session = house.session()
    answer = press(session["url"], "decline")
    assert answer.status_code == 402
    assert "Your card was declined" in answer.text
    assert press(session["url"], "pay").status_code == 303


def test_abandoning_goes_back_and_leaves_the_session_open(house: House):
    session = house.session()
    answer = press(session["url"], "abandon")
    assert (answer.status_code, answer.headers["Location"]) == (303, "https://shop.example/back")
    assert house.get(f"/v1/checkout/sessions/{session['id']}")["status"] == "open"


def test_a_delayed_payment_can_be_decided_on_the_page(house: House):
    session = house.session()
    assert press(session["url"], "pay_later").status_code == 303
    assert "The bank pays" in requests.get(session["url"], timeout=5).text
    press(session["url"], "bank_pays")
    assert house.get(f"/v1/checkout/sessions/{session['id']}")["payment_status"] == "paid"
    assert "The bank pays" not in requests.get(session["url"], timeout=5).text


def test_cards_only_shows_no_delayed_method(house: House):
    session = house.session(**{"payment_method_types[0]": "card"})
    assert "delayed" not in requests.get(session["url"], timeout=5).text
    assert press(session["url"], "pay_later").status_code == 400


def test_nobody_pays_twice_or_too_late(house: House):
    paid, late = house.session(), house.session()
    press(paid["url"], "pay")
    assert press(paid["url"], "pay").status_code == 409
    house.post(f"/v1/checkout/sessions/{late['id']}/expire")
    assert press(late["url"], "pay").status_code == 409
    assert "expired" in requests.get(late["url"], timeout=5).text
    assert [sums["captured"] for sums in house.ledger()["payments"].values()] == [4500]


def test_amounts_are_written_in_the_currencys_own_decimals(house: House):
    yen = house.session(
        **{"line_items[0][price_data][currency]": "jpy", "line_items[0][price_data][unit_amount]": "5000"}
    )
    assert "5,000 JPY" in requests.get(yen["url"], timeout=5).text
    assert "45.00 EUR" in requests.get(house.session()["url"], timeout=5).text


def test_what_was_typed_elsewhere_is_shown_as_text(house: House):
    session = house.session(**{"line_items[0][price_data][product_data][name]": "<b>Talk</b>"})
    assert "&lt;b&gt;Talk" in requests.get(session["url"], timeout=5).text


def test_the_receipt_is_a_page_and_unknown_ones_are_not(house: House):
    payment = house.paid()["payment_intent"]
    receipt = house.get("/v1/charges", payment_intent=payment)["data"][0]["receipt_url"]
    assert "45.00 EUR" in requests.get(receipt, timeout=5).text
    for path in ("/receipts/ch_none", "/c/pay/cs_none"):
        assert requests.get(house.base + path, timeout=5).status_code == 404
    assert press(f"{house.base}/c/pay/cs_none", "pay").status_code == 404


@pytest.mark.browser
def test_a_person_pays_by_keyboard_on_a_phone(house: House, page: Page):
    session = house.session(success_url=f"{house.base}/receipts/after?s={{CHECKOUT_SESSION_ID}}")
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(session["url"])
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.get_by_label("E-mail for the receipt").fill("ana@example.com")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Pay 45.00 EUR")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/receipts/after?s={session['id']}")
    paid = house.get(f"/v1/checkout/sessions/{session['id']}")
    assert (paid["payment_status"], paid["customer_details"]["email"]) == ("paid", "ana@example.com")
