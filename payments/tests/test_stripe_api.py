import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import responses
import stripe

from api.calling import Deadline, Refused, Unavailable, Unknown
from payments import stripe_api
from payments.tests.stripe_schema import fixture, validate_answer, validate_request, validate_response

BASE = "https://stripe.example"
KEY = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
SESSIONS, REFUNDS = f"{BASE}/v1/checkout/sessions", f"{BASE}/v1/refunds"
THEN = datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _settings(settings: Any) -> None:
    settings.STRIPE_API_BASE, settings.STRIPE_SECRET_KEY = BASE, KEY
    settings.STRIPE_API_VERSION, settings.STRIPE_PAYMENT_METHODS = "2026-05-27.dahlia", ["card"]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, in seconds, recorded instead of slept."""
    recorded: list[float] = []
    monkeypatch.setattr(time, "sleep", recorded.append)
    return recorded


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    """Stripe at the wire. What we send must be as Stripe describes it, and so must the objects that we answer."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock
        for call in mock.calls:
            url = urlsplit(str(call.request.url))
            pairs = (
                form(call) if call.request.method == "POST" else parse_qsl(url.query, strict_parsing=bool(url.query))
            )
            validate_request(str(call.request.method), url.path, pairs)


def form(call: responses.Call) -> list[tuple[str, str]]:
    return parse_qsl(str(call.request.body or ""), keep_blank_values=True)


def obj(resource: str, **fields: Any) -> dict[str, Any]:
    answer = {**fixture(resource), **fields}
    validate_response(resource, answer)
    return answer


def listing(path: str, *entries: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    answer = {"object": "list", "url": path, "has_more": has_more, "data": list(entries)}
    validate_answer("GET", path, answer)
    return answer


def failure(message: str = "No.", **fields: Any) -> dict[str, Any]:
    error = {"type": "invalid_request_error", "message": message, **fields}
    validate_response("error", {"error": error})
    return {"error": error}


def open_checkout(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "amount_minor": 5_000,
        "currency": "USD",
        "name": "A session",
        "description": "One hour",
        "customer_email": "ann@example.com",
        "client_reference_id": "bk_1",
        "metadata": {"intent": "it_1", "bookingId": "bk_1"},
        "success_url": "https://us.example/pay/bk_1/return?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://us.example/pay/bk_1/return",
        "expires_at": THEN,
        "idempotency_key": "key-1",
    }
    return stripe_api.open_checkout(**{**arguments, **changes})


def create_refund(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "payment_intent_id": "pi_1",
        "amount_minor": 2_500,
        "idempotency_key": "key-2",
        "metadata": {"intent": "it_2"},
    }
    return stripe_api.create_refund(**{**arguments, **changes})


# What we send.


def test_opening_a_checkout_sends_all_that_stripe_has_to_know(wire):
    wire.post(SESSIONS, json=obj("checkout.session", payment_intent=None))
    seen = open_checkout()
    assert seen.session_id.startswith("cs_test_")
    assert dict(form(wire.calls[0])) == {
        "mode": "payment",
        "submit_type": "book",
        "payment_method_types[0]": "card",
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "5000",
        "line_items[0][price_data][product_data][name]": "A session",
        "line_items[0][price_data][product_data][description]": "One hour",
        "client_reference_id": "bk_1",
        "customer_email": "ann@example.com",
        "metadata[intent]": "it_1",
        "metadata[bookingId]": "bk_1",
        "payment_intent_data[metadata][intent]": "it_1",
        "payment_intent_data[metadata][bookingId]": "bk_1",
        "success_url": "https://us.example/pay/bk_1/return?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://us.example/pay/bk_1/return",
        "expires_at": "1795424400",
    }


def test_what_is_empty_is_left_out_and_what_is_long_is_cut(wire):
    wire.post(SESSIONS, json=obj("checkout.session"))
    open_checkout(description="", customer_email=None, name="n" * 6_000)
    open_checkout(description="d" * 50_000)
    sent = dict(form(wire.calls[0]))
    assert "customer_email" not in sent
    assert "line_items[0][price_data][product_data][description]" not in sent
    assert len(sent["line_items[0][price_data][product_data][name]"]) == 5_000
    assert len(dict(form(wire.calls[1]))["line_items[0][price_data][product_data][description]"]) == 40_000


def test_every_call_carries_our_key_version_and_name_and_no_telemetry(wire):
    # Stripe sends a Request-Id, upon which the SDK would add telemetry to the next call.
    wire.get(f"{REFUNDS}/re_1", json=obj("refund"), headers={"Request-Id": "req_1"})
    stripe_api.read_refund("re_1")
    stripe_api.read_refund("re_1")
    headers = wire.calls[1].request.headers
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Stripe-Version"] == "2026-05-27.dahlia"
    assert headers["User-Agent"].startswith("Slotpay/")
    assert not [name for name in headers if name.startswith("X-Stripe-Client")]
    assert "Idempotency-Key" not in headers
    assert stripe.enable_telemetry is False


def test_proxies_of_the_environment_are_not_used(wire, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    wire.get(f"{REFUNDS}/re_1", json=obj("refund"))
    stripe_api.read_refund("re_1")
    assert not wire.calls[0].request.req_kwargs["proxies"]


def test_a_session_is_read_down_to_its_charge(wire):
    charge = obj("charge", payment_intent="pi_1", captured=True, amount_captured=5_000)
    payment = obj("payment_intent", id="pi_1", amount_received=5_000, latest_charge=charge)
    session = obj("checkout.session", payment_intent=payment, payment_status="paid", status="complete")
    wire.get(f"{SESSIONS}/cs_1", json=session)
    seen = stripe_api.read_checkout("cs_1")
    assert dict(parse_qsl(urlsplit(wire.calls[0].request.url).query)) == {"expand[0]": "payment_intent.latest_charge"}
    assert seen.payment is not None
    assert (seen.payment.captured_minor, seen.payment.from_charge) == (5_000, True)


def test_a_payment_is_read_with_its_charge(wire):
    charge = obj("charge", payment_intent="pi_1", captured=True, amount_captured=5_000)
    wire.get(f"{BASE}/v1/payment_intents/pi_1", json=obj("payment_intent", amount_received=5_000, latest_charge=charge))
    assert stripe_api.read_payment("pi_1").from_charge is True
    assert "latest_charge" in str(wire.calls[0].request.url)


def test_expiring_a_session_uses_our_key(wire):
    wire.post(f"{SESSIONS}/cs_1/expire", json=obj("checkout.session", status="expired", url=None))
    assert stripe_api.expire_checkout("cs_1", idempotency_key="key-3").status == "expired"
    assert wire.calls[0].request.headers["Idempotency-Key"] == "key-3"


def test_a_refund_is_asked_for_by_the_customer(wire):
    wire.post(REFUNDS, json=obj("refund", payment_intent="pi_1", amount=2_500, metadata={"intent": "it_2"}))
    assert create_refund().amount_minor == 2_500
    assert dict(form(wire.calls[0])) == {
        "payment_intent": "pi_1",
        "amount": "2500",
        "reason": "requested_by_customer",
        "metadata[intent]": "it_2",
    }
    assert wire.calls[0].request.headers["Idempotency-Key"] == "key-2"


def test_an_id_cannot_leave_its_place_in_the_path(wire):
    wire.get(f"{REFUNDS}/..%2Fcharges%3Fa%3D1", json=obj("refund"))
    stripe_api.read_refund("../charges?a=1")
    assert urlsplit(wire.calls[0].request.url).path == "/v1/refunds/..%2Fcharges%3Fa%3D1"


def test_the_webhook_endpoint_gets_our_version_and_our_list(wire):
    endpoint = obj("webhook_endpoint", id="we_1", secret="whsec_1")
    wire.post(f"{BASE}/v1/webhook_endpoints", status=500)
    wire.post(f"{BASE}/v1/webhook_endpoints", json=endpoint)
    url = "https://us.example/api/webhooks/stripe"
    assert stripe_api.create_webhook_endpoint(url, stripe_api.WEBHOOK_EVENT_TYPES) == ("we_1", "whsec_1")
    sent = form(wire.calls[0])
    assert [text for name, text in sent if name.startswith("enabled_events")] == list(stripe_api.WEBHOOK_EVENT_TYPES)
    assert ("api_version", "2026-05-27.dahlia") in sent
    # The second try must not make a second endpoint.
    assert len({call.request.headers["Idempotency-Key"] for call in wire.calls}) == 1


# Lists.


def test_lists_are_read_page_by_page(wire):
    path = "/v1/refunds"
    wire.get(REFUNDS, json=listing(path, obj("refund", id="re_3"), obj("refund", id="re_2"), has_more=True))
    wire.get(REFUNDS, json=listing(path, obj("refund", id="re_1")))
    assert [seen.refund_id for seen in stripe_api.list_refunds("pi_1")] == ["re_3", "re_2", "re_1"]
    assert [dict(parse_qsl(urlsplit(call.request.url).query)) for call in wire.calls] == [
        {"payment_intent": "pi_1", "limit": "100"},
        {"payment_intent": "pi_1", "limit": "100", "starting_after": "re_2"},
    ]


def test_a_list_without_end_is_unknown_and_not_nothing(wire, monkeypatch):
    monkeypatch.setattr(stripe_api, "MOST_PAGES", 3)
    wire.get(REFUNDS, json=listing("/v1/refunds", obj("refund"), has_more=True))
    with pytest.raises(Unknown, match="goes on after 300 objects"):
        stripe_api.find_refund("it_9", "pi_1")
    assert len(wire.calls) == 3


def test_a_checkout_is_found_by_our_intent_and_read_in_full(wire):
    others = [obj("checkout.session", id=f"cs_{n}", metadata={"intent": f"it_{n}"}) for n in (3, 2)]
    wire.get(SESSIONS, json=listing("/v1/checkout/sessions", *others, obj("checkout.session", metadata=None)))
    payment = obj("payment_intent", id="pi_2", amount_received=5_000)
    wire.get(f"{SESSIONS}/cs_2", json={**others[1], "payment_intent": payment})
    found = stripe_api.find_checkout("it_2", THEN)
    assert found is not None
    assert found.payment is not None
    assert (found.session_id, found.payment.captured_minor) == ("cs_2", 5_000)
    query = dict(parse_qsl(urlsplit(wire.calls[0].request.url).query))
    assert query == {"created[gte]": "1795420800", "limit": "100"}  # an hour before


def test_what_was_never_made_is_not_found(wire):
    wire.get(SESSIONS, json=listing("/v1/checkout/sessions", obj("checkout.session")))
    wire.get(REFUNDS, json=listing("/v1/refunds", obj("refund", metadata={"intent": "it_1"})))
    assert stripe_api.find_checkout("it_2", THEN) is None
    assert stripe_api.find_refund("it_2", "pi_1") is None


def test_a_refund_is_found_by_our_intent(wire):
    entries = [obj("refund", id="re_2"), obj("refund", id="re_1", metadata={"intent": "it_1"})]
    wire.get(REFUNDS, json=listing("/v1/refunds", *entries))
    found = stripe_api.find_refund("it_1", "pi_1")
    assert found is not None
    assert found.refund_id == "re_1"


def test_disputes_and_webhook_endpoints_are_read_and_listed(wire):
    wire.get(f"{BASE}/v1/disputes/dp_1", json=obj("dispute"))
    wire.get(f"{BASE}/v1/disputes", json=listing("/v1/disputes", obj("dispute")))
    wire.get(f"{BASE}/v1/webhook_endpoints", json=listing("/v1/webhook_endpoints", obj("webhook_endpoint")))
    assert [stripe_api.read_dispute("dp_1")] == stripe_api.list_disputes("pi_1")
    assert [seen.url for seen in stripe_api.list_webhook_endpoints()] == ["https://example.com/my/webhook/endpoint"]


# How calls end.


def test_five_tries_with_the_contracts_waits_and_one_key(wire, waits):
    wire.post(REFUNDS, status=500, json=failure(type="api_error"), headers={"Request-Id": "req_7"})
    with pytest.raises(Unknown) as ended:
        create_refund()
    assert waits == [0.2, 0.4, 0.8, 1.6]
    assert [call.request.headers["Idempotency-Key"] for call in wire.calls] == ["key-2"] * 5
    assert len({call.request.body for call in wire.calls}) == 1
    assert (ended.value.status, ended.value.request_id, ended.value.replayed) == (500, "req_7", False)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, {"type": "api_error"}),
        (503, {"type": "api_error"}),
        (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}),
        (409, {"code": "lock_timeout"}),
        (424, {"type": "api_error"}),
    ],
)
def test_what_may_pass_is_tried_again(wire, waits, status, error):
    wire.post(REFUNDS, status=status, json=failure(**error))
    wire.post(REFUNDS, json=obj("refund"))
    assert create_refund().status == "succeeded"
    assert waits == [0.2]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"code": "charge_already_refunded"}),
        (400, {"type": "idempotency_error"}),
        (401, {}),
        (402, {"type": "card_error", "code": "card_declined"}),
        (403, {}),
        (404, {"code": "resource_missing"}),
    ],
)
def test_a_clear_no_is_refused_at_once(wire, waits, status, error):
    wire.post(REFUNDS, status=status, json=failure("Not this one.", **error), headers={"Request-Id": "req_1"})
    with pytest.raises(Refused, match=r"Not this one\.") as refusal:
        create_refund()
    word = error.get("code") or error.get("type") or "invalid_request_error"
    assert (refusal.value.status, refusal.value.code) == (status, word)
    assert refusal.value.request_id == "req_1"
    assert len(wire.calls) == 1


def test_a_saved_failure_spends_the_key_and_is_not_asked_for_again(wire, waits):
    wire.post(REFUNDS, status=500, json=failure(type="api_error"), headers={"Idempotent-Replayed": "true"})
    with pytest.raises(Unknown) as ended:
        create_refund()
    assert ended.value.replayed is True
    assert len(wire.calls) == 1


def test_a_failure_saved_by_an_earlier_try_is_seen_at_the_next(wire, waits):
    wire.post(REFUNDS, status=500, json=failure(type="api_error"))
    wire.post(REFUNDS, status=500, json=failure(type="api_error"), headers={"Idempotent-Replayed": "true"})
    with pytest.raises(Unknown) as ended:
        create_refund()
    assert ended.value.replayed is True
    assert len(wire.calls) == 2


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("0.5", 0.5), (None, 1.0), ("soon", 1.0), ("-1", 1.0)])
def test_a_rate_limit_is_left_to_the_worker(wire, waits, header, seconds):
    headers = {"Retry-After": header} if header else {}
    wire.post(REFUNDS, status=429, json=failure(code="rate_limit"), headers=headers)
    with pytest.raises(Unavailable) as limited:
        create_refund()
    assert (limited.value.retry_after, limited.value.status, limited.value.code) == (seconds, 429, "rate_limit")
    assert len(wire.calls) == 1


def test_a_locked_object_is_tried_again_when_stripe_says_so(wire, waits):
    locked = failure(code="lock_timeout")
    wire.post(REFUNDS, status=429, json=locked, headers={"Stripe-Should-Retry": "true"})
    with pytest.raises(Unavailable) as ended:
        create_refund()
    assert (len(wire.calls), ended.value.code, ended.value.retry_after) == (5, "lock_timeout", None)


def test_stripes_word_on_retrying_stands_above_its_status(wire, waits):
    wire.post(REFUNDS, status=400, json=failure(), headers={"Stripe-Should-Retry": "true"})
    wire.post(REFUNDS, status=503, json=failure(type="api_error"), headers={"Stripe-Should-Retry": "false"})
    with pytest.raises(Unknown) as ended:
        create_refund()
    assert (len(wire.calls), ended.value.status, ended.value.replayed) == (2, 503, False)


@pytest.mark.parametrize("status", [400, 403, 404, 500, 502])
@pytest.mark.parametrize(
    "body", ["<html>Bad gateway</html>", "[]", "null", '{"error": "x"}', '{"error": [1]}', "\udcff"]
)
def test_a_failure_that_is_not_stripes_own_decides_nothing(wire, waits, status, body):
    wire.post(REFUNDS, status=status, body=body.encode("utf-8", "surrogateescape"))
    with pytest.raises(Unknown):
        create_refund()
    assert len(wire.calls) == 5


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirects_are_not_followed(wire, waits, status):
    wire.post(REFUNDS, status=status, headers={"Location": "https://elsewhere.example/v1/refunds"})
    with pytest.raises(Unknown):
        create_refund()
    assert {urlsplit(call.request.url).hostname for call in wire.calls} == {"stripe.example"}


@pytest.mark.parametrize("body", ["", "{"])
def test_an_answer_that_is_not_json_is_asked_for_again(wire, waits, body):
    wire.post(REFUNDS, body=body)
    with pytest.raises(Unknown):
        create_refund()
    assert len(wire.calls) == 5
    assert len({call.request.headers["Idempotency-Key"] for call in wire.calls}) == 1


@pytest.mark.parametrize("body", ["[1]", "null", '"re_1"', "{}", json.dumps({"object": "refund", "id": "re_1"})])
def test_an_answer_that_cannot_be_read_is_unknown(wire, waits, body):
    wire.post(REFUNDS, body=body)
    with pytest.raises(Unknown):
        create_refund()
    assert len(wire.calls) == 1


@pytest.mark.parametrize(
    "error", [requests.ReadTimeout(), requests.ConnectionError(), requests.exceptions.ChunkedEncodingError()]
)
def test_a_lost_answer_is_unknown(wire, waits, error):
    wire.post(REFUNDS, body=error)
    with pytest.raises(Unknown):
        create_refund()
    assert len(wire.calls) == 5


def test_a_connection_that_never_opened_did_nothing(wire, waits):
    wire.post(REFUNDS, body=requests.ConnectTimeout())
    with pytest.raises(Unavailable) as ended:
        create_refund()
    assert (len(wire.calls), ended.value.retry_after) == (5, None)


def test_a_refused_connection_did_nothing(settings, waits):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Unavailable):
            create_refund()
    assert len(waits) == 4


def test_a_server_that_never_answers_is_unknown(settings, waits):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unknown):  # it takes the request and never answers
            create_refund(deadline=Deadline(0.1))


# Time.


def test_time_outs_are_three_and_ten_seconds(wire):
    wire.post(REFUNDS, json=obj("refund"))
    create_refund()
    assert wire.calls[0].request.req_kwargs["timeout"] == (3.0, 10.0)


def test_a_deadline_shortens_time_outs_and_tries(wire, waits):
    wire.post(REFUNDS, status=500, json=failure(type="api_error"))
    with pytest.raises(Unknown):
        create_refund(deadline=Deadline(0.7))
    connect, read = wire.calls[0].request.req_kwargs["timeout"]
    assert connect <= 0.7
    assert read <= 0.7
    assert waits == [0.2, 0.4]  # none of 0.8 s is begun
    assert len(wire.calls) == 3
