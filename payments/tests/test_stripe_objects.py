import copy
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.stripe_objects import (
    NoPaymentIntent,
    UnknownObject,
    parse_charge,
    parse_checkout,
    parse_dispute,
    parse_payment_intent,
    parse_refund,
    parse_webhook_endpoint,
)
from payments.tests.stripe_schema import fixture, validate_response

PARSERS = {
    "checkout.session": parse_checkout,
    "payment_intent": parse_payment_intent,
    "charge": parse_charge,
    "refund": parse_refund,
    "dispute": parse_dispute,
    "webhook_endpoint": parse_webhook_endpoint,
}
FIXTURES = [
    "account",
    "balance_transaction",
    "charge",
    "checkout.session",
    "customer",
    "deleted_webhook_endpoint",
    "dispute",
    "event",
    "file",
    "item",
    "line_item",
    "payment_intent",
    "payment_method",
    "price",
    "product",
    "radar.early_fraud_warning",
    "refund",
    "webhook_endpoint",
]
THEN = datetime(2009, 2, 13, 23, 31, 30, tzinfo=UTC)  # 1234567890, in all samples


def session(**fields: Any) -> dict[str, Any]:
    return changed("checkout.session", amount_total=5_000, currency="usd", metadata={"intent": "it_1"}, **fields)


def charge(**fields: Any) -> dict[str, Any]:
    paid = {"payment_intent": "pi_1", "captured": True, "paid": True, "status": "succeeded", "amount_captured": 5_000}
    return changed("charge", **{"id": "ch_1", "receipt_url": "https://pay.stripe.com/receipts/1", **paid, **fields})


def intent(**fields: Any) -> dict[str, Any]:
    return changed("payment_intent", id="pi_1", amount_received=5_000, **fields)


def changed(resource: str, **fields: Any) -> dict[str, Any]:
    """Stripe's sample with other values, which Stripe's description still allows."""
    obj = {**fixture(resource), **fields}
    validate_response(resource, obj)
    return obj


def test_an_open_session_has_no_payment_yet():
    seen = parse_checkout(session(payment_intent=None, client_reference_id="bk_1"))
    assert (seen.status, seen.payment_status, seen.payment) == ("open", "unpaid", None)
    assert (seen.payment_intent_id, seen.amount_total_minor, seen.currency) == (None, 5_000, "USD")
    assert (seen.client_reference_id, seen.metadata) == ("bk_1", {"intent": "it_1"})
    assert (seen.created_at, seen.expires_at, seen.livemode) == (THEN, THEN, False)
    assert seen.url is not None
    assert seen.url.startswith("https://checkout.stripe.com/")


def test_a_paid_session_says_what_was_captured_but_not_when():
    payment = parse_checkout(session(status="complete", payment_status="paid", payment_intent="pi_1", url=None)).payment
    assert payment is not None
    assert (payment.payment_intent_id, payment.captured_minor, payment.currency) == ("pi_1", 5_000, "USD")
    assert (payment.captured_at, payment.from_charge, payment.charge_id) == (None, False, None)
    assert payment.metadata == {"intent": "it_1"}


def test_a_complete_session_of_a_delayed_method_has_no_payment():
    seen = parse_checkout(session(status="complete", payment_status="unpaid", payment_intent="pi_1"))
    assert (seen.payment_intent_id, seen.payment) == ("pi_1", None)


def test_a_fully_expanded_session_says_when_and_has_the_receipt():
    expanded = intent(latest_charge=charge(created=1_800_000_000))
    seen = parse_checkout(session(status="complete", payment_status="paid", payment_intent=expanded))
    assert seen.payment_intent_id == "pi_1"
    assert seen.payment is not None
    assert (seen.payment.charge_id, seen.payment.captured_minor, seen.payment.from_charge) == ("ch_1", 5_000, True)
    assert seen.payment.captured_at == datetime(2027, 1, 15, 8, tzinfo=UTC)
    assert seen.payment.receipt_url == "https://pay.stripe.com/receipts/1"


def test_a_payment_intent_without_its_charge_expanded_leaves_the_time_open():
    seen = parse_payment_intent(intent(latest_charge="ch_1"))
    assert (seen.charge_id, seen.captured_minor, seen.captured_at) == ("ch_1", 5_000, None)
    assert seen.from_charge is False


def test_a_declined_latest_charge_says_nothing_about_a_capture():
    declined = charge(status="failed", paid=False, captured=False, amount_captured=0)
    seen = parse_payment_intent(changed("payment_intent", latest_charge=declined))
    assert (seen.captured_minor, seen.captured_at, seen.from_charge) == (0, None, False)


def test_a_captured_charge():
    seen = parse_charge(charge())
    assert (seen.payment_intent_id, seen.charge_id, seen.captured_minor) == ("pi_1", "ch_1", 5_000)
    assert (seen.captured_at, seen.from_charge) == (THEN, True)


@pytest.mark.parametrize("but", [{"captured": False}, {"paid": False}, {"status": "pending"}, {"amount_captured": 0}])
def test_a_charge_that_did_not_take_the_money_has_captured_nothing(but):
    seen = parse_charge(charge(**but))
    assert (seen.captured_minor, seen.captured_at, seen.from_charge) == (0, None, False)


def test_a_charge_without_payment_intent_is_none_of_ours():
    with pytest.raises(NoPaymentIntent):
        parse_charge(charge(payment_intent=None))


def test_a_refund():
    seen = parse_refund(changed("refund", payment_intent="pi_1", metadata={"intent": "it_2"}))
    assert (seen.payment_intent_id, seen.amount_minor, seen.currency, seen.status) == ("pi_1", 100, "USD", "succeeded")
    assert (seen.charge_id, seen.metadata) == ("ch_1PgafuB7WZ01zgkWXYmPNZs8", {"intent": "it_2"})
    assert (seen.created_at, seen.failure_reason) == (THEN, "")


def test_a_failed_refund_says_why():
    seen = parse_refund(changed("refund", status="failed", failure_reason="lost_or_stolen_card"))
    assert (seen.status, seen.failure_reason) == ("failed", "lost_or_stolen_card")


def test_a_refund_whose_references_are_expanded_has_their_ids():
    seen = parse_refund(changed("refund", payment_intent=intent(), charge=charge()))
    assert (seen.payment_intent_id, seen.charge_id) == ("pi_1", "ch_1")


def test_a_dispute():
    movement = changed("balance_transaction", amount=-1_000, fee=1_500, net=-2_500)
    seen = parse_dispute(changed("dispute", payment_intent="pi_1", balance_transactions=[movement]))
    assert (seen.payment_intent_id, seen.charge_id) == ("pi_1", "ch_1PgafuB7WZ01zgkWXYmPNZs8")
    assert (seen.amount_minor, seen.currency, seen.reason) == (1_000, "USD", "general")
    assert (seen.status, seen.is_charge_refundable) == ("warning_needs_response", True)
    assert seen.due_by == datetime(2024, 8, 14, 23, 59, 59, tzinfo=UTC)
    [moved] = seen.balance_transactions
    assert (moved["amount"], moved["fee"], moved["net"], moved["currency"]) == (-1_000, 1_500, -2_500, "USD")


@pytest.mark.parametrize("due_by", [0, None])
def test_a_dispute_that_cannot_be_answered_has_no_due_date(due_by):
    evidence = {**fixture("dispute")["evidence_details"], "due_by": due_by}
    assert parse_dispute(changed("dispute", evidence_details=evidence)).due_by is None


def test_a_dispute_without_balance_transactions_is_read():
    dispute = fixture("dispute")
    del dispute["balance_transactions"]
    assert parse_dispute(dispute).balance_transactions == []


def test_a_webhook_endpoint():
    seen = parse_webhook_endpoint(fixture("webhook_endpoint"))
    assert (seen.url, seen.api_version, seen.status) == ("https://example.com/my/webhook/endpoint", "", "enabled")
    assert seen.enabled_events == ("charge.failed", "charge.succeeded")


def test_texts_are_such_as_postgresql_can_store():
    metadata = {"in\0tent": "a\0b", "half": "x\ud800y", "long": "z" * 9_000}
    seen = parse_refund({**fixture("refund"), "metadata": metadata, "failure_reason": "\udfff"})
    assert seen.metadata == {"intent": "ab", "half": "x?y", "long": "z" * 5_000}
    assert seen.failure_reason == "?"


@pytest.mark.parametrize("resource", FIXTURES)
@pytest.mark.parametrize("kind", PARSERS)
def test_only_objects_of_its_kind_are_read(kind, resource):
    sample = fixture(resource)
    if resource == "charge":
        sample["payment_intent"] = "pi_1"  # the sample's is empty
    if kind == resource:
        PARSERS[kind](sample)
    else:
        with pytest.raises(UnknownObject):
            PARSERS[kind](sample)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("amount", [True, 1.0, "100", -1, 2**63, None]),
        ("id", ["", "re 1", "re/1", "re_1\n", "é", "x" * 256, 7, None]),
        ("currency", ["us", "usdx", "u$d", "éur", 1, None]),
        ("created", [0, -1, 10**12, 10**30, True, 1.5, "1234567890", None]),
        ("metadata", [[], "x", {"a": 1}, {"a": None}, {1: "a"}]),
        ("status", [1, [], {}]),
        ("payment_intent", [1, "", {}, {"id": 7}, []]),
    ],
)
def test_a_refund_with_a_wrong_field_is_unknown(field, wrong):
    for value in wrong:
        with pytest.raises(UnknownObject):
            parse_refund({**fixture("refund"), field: value})


@pytest.mark.parametrize("url", ["javascript:alert(1)", "ftp://a", "https://", "https://a b", "//x", "https://a\n"])
def test_only_web_addresses_are_taken_as_such(url):
    with pytest.raises(UnknownObject):
        parse_checkout(session(url=url))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["\ud800", "pi_1", "usd", "paid", "succeeded", "checkout.session", "charge", 2**70, 10**12]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(PARSERS)), st.data())
def test_a_mutated_object_is_read_or_unknown_and_nothing_else(kind, data):
    whole = {
        "checkout.session": session(status="complete", payment_status="paid", payment_intent=intent()),
        "payment_intent": intent(latest_charge=charge()),
        "charge": charge(),
        "dispute": changed("dispute", balance_transactions=[fixture("balance_transaction")]),
    }
    obj = copy.deepcopy(whole.get(kind) or fixture(kind))
    for _ in range(data.draw(st.integers(1, 4))):
        place = obj
        while nested := [each for each in place.values() if isinstance(each, dict) and each]:
            if data.draw(st.booleans()):
                break
            place = data.draw(st.sampled_from(nested))
        key = data.draw(st.sampled_from(sorted(place, key=str)))
        if data.draw(st.booleans()):
            del place[key]
        else:
            place[key] = data.draw(json_values)
    with suppress(UnknownObject):
        PARSERS[kind](obj)


@given(st.sampled_from(sorted(PARSERS)), json_values)
def test_what_is_no_such_object_at_all_is_unknown(kind, value):
    with pytest.raises(UnknownObject):
        PARSERS[kind](value)
