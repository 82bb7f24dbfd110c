"""What the local Stripe refuses, and in which words: it is not kinder than the real one."""

import time

import pytest
import requests

from sandbox.stripe.app import DEFAULT_KEY
from sandbox.tests.test_stripe.house import TALK, House

SESSIONS = "/v1/checkout/sessions"
PRICE = "line_items[0][price_data]"


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"colour": "red"}, "colour", "parameter_unknown"),
        ({f"{PRICE}[colour]": "red"}, f"{PRICE}[colour]", "parameter_unknown"),
        ({"payment_intent_data[intent]": "x"}, "payment_intent_data[intent]", "parameter_unknown"),
        ({"mode": None}, "mode", "parameter_missing"),
        ({f"{PRICE}[currency]": None}, f"{PRICE}[currency]", "parameter_missing"),
        ({f"{PRICE}[product_data][name]": None}, f"{PRICE}[product_data]", "parameter_missing"),
        ({f"{PRICE}[unit_amount]": None}, f"{PRICE}[unit_amount]", "parameter_missing"),
        ({"line_items[0][quantity]": None}, "line_items[0][quantity]", "parameter_missing"),
        ({"success_url": None}, "success_url", "parameter_missing"),
        ({f"{PRICE}[unit_amount]": "45.00"}, f"{PRICE}[unit_amount]", "parameter_invalid_integer"),
        ({f"{PRICE}[unit_amount]": "a lot"}, f"{PRICE}[unit_amount]", "parameter_invalid_integer"),
        ({f"{PRICE}[unit_amount]": "-5"}, f"{PRICE}[unit_amount]", "parameter_invalid_integer"),
        ({f"{PRICE}[unit_amount]": "49"}, None, "amount_too_small"),
        ({f"{PRICE}[unit_amount]": "99999999", "line_items[0][quantity]": "2"}, None, "amount_too_large"),
        ({f"{PRICE}[currency]": "zzz"}, f"{PRICE}[currency]", None),
        ({f"{PRICE}[currency]": "EUR"}, f"{PRICE}[currency]", None),
        ({f"{PRICE}[currency]": "kwd", f"{PRICE}[unit_amount]": "1005"}, "amount", None),
        ({"mode": "pay"}, "mode", None),
        ({"ui_mode": "hosted"}, "ui_mode", None),
        ({"client_reference_id": "x" * 201}, "client_reference_id", None),
        ({"customer_email": "nobody"}, "customer_email", "email_invalid"),
        ({"customer_email": ""}, "customer_email", "parameter_invalid_empty"),
        ({"success_url": "/thanks"}, "success_url", "url_invalid"),
        ({"expires_at": "soon"}, "expires_at", "parameter_invalid_integer"),
        ({"expires_at": str(int(time.time()) + 29 * 60)}, "expires_at", None),
        ({"expires_at": str(int(time.time()) + 25 * 3600)}, "expires_at", None),
        ({f"metadata[{'k' * 41}]": "x"}, "metadata", None),
        ({"metadata[k]": "x" * 501}, "metadata[k]", None),
        ({f"metadata[k{n}]": "x" for n in range(51)}, "metadata", None),
        ({"payment_method_types[0]": "us_bank_account"}, "payment_method_types", None),
        ({"expand[]": "colour"}, None, None),
    ],
)
def test_a_wrong_parameter_is_refused_with_its_name(
    house: House, change: dict[str, str | None], param: str | None, code: str | None
):
    form = {key: value for key, value in {**TALK, **change}.items() if value is not None}
    error = house.refused(SESSIONS, form)
    # A product without its name leaves no trace in a form, so it is the product that is missing.
    assert (error["status"], error["type"]) == (400, "invalid_request_error")
    assert (error.get("param"), error.get("code")) == (param, code)


def test_the_bounds_themselves_are_taken(house: House):
    now = int(time.time())
    for change in (
        {f"{PRICE}[unit_amount]": "50"},
        {"client_reference_id": "x" * 200},
        {"expires_at": str(now + 30 * 60 + 5)},
        {"expires_at": str(now + 24 * 3600 - 5)},
        {f"metadata[{'k' * 40}]": "x" * 500},
        {f"{PRICE}[currency]": "jpy", f"{PRICE}[unit_amount]": "50"},
    ):
        assert house.session(**change)["status"] == "open"


def test_what_only_the_sandbox_cannot_do_is_said_plainly(house: House):
    error = house.refused(SESSIONS, {**TALK, "discounts[0][coupon]": "c"})
    assert "local sandbox does not do this" in error["message"]


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Authorization": ""}, "You did not provide an API key"),
        ({"Authorization": "Bearer sk_test_wrong"}, "Invalid API Key provided"),
        ({"Authorization": "Basic !!"}, "You did not provide an API key"),
    ],
)
def test_without_the_key_nothing_is_told(house: House, headers: dict[str, str], message: str):
    answer = house.call("GET", "/v1/account", headers=headers)
    assert answer.status_code == 401
    assert message in answer.json()["error"]["message"]


def test_the_key_may_come_as_basic_auth(house: House):
    answer = requests.get(f"{house.base}/v1/account", auth=(DEFAULT_KEY, ""), timeout=5)
    assert answer.json()["id"] == "acct_1LocalSandbox0001"


def test_another_version_is_refused(house: House):
    answer = house.call("GET", "/v1/account", headers={"Stripe-Version": "2020-08-27"})
    assert answer.status_code == 400
    assert answer.headers["Request-Id"].startswith("req_")


def test_unknown_things_and_unknown_urls_are_404(house: House):
    error = house.call("GET", f"{SESSIONS}/cs_test_none").json()["error"]
    assert (error["code"], error["message"]) == ("resource_missing", "No such checkout.session: 'cs_test_none'")
    answer = house.call("GET", "/v1/colours")
    assert answer.status_code == 404
    assert "Unrecognized request URL (GET: /v1/colours)" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"mode": "payment"}', "application/json"),
        (b"mode=%ff", "application/x-www-form-urlencoded"),
        (b"mode[=payment", "application/x-www-form-urlencoded"),
        (b"mode=payment&mode[a]=b", "application/x-www-form-urlencoded"),
        (b"mode[a]=b&mode=payment", "application/x-www-form-urlencoded"),
        (b"line_items=x&mode=payment", "application/x-www-form-urlencoded"),
    ],
)
def test_a_body_that_is_no_proper_form_is_refused(house: House, body: bytes, kind: str):
    error = house.refused(SESSIONS, body, headers={"Content-Type": kind})
    assert (error["status"], error["type"]) == (400, "invalid_request_error")


def test_a_page_has_at_most_a_hundred_rows_and_a_cursor_that_exists(house: House):
    assert house.call("GET", SESSIONS, {"limit": 101}).status_code == 400
    error = house.call("GET", SESSIONS, {"starting_after": "cs_none"}).json()["error"]
    assert (error["code"], error["param"]) == ("resource_missing", "starting_after")
