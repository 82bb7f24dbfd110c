"""Refunds of the local Stripe: bounds, states, late failures."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from sandbox.tests.test_stripe.house import House, Letterbox


def charge_of(house: House, payment: str):
    return house.get("/v1/charges", payment_intent=payment)["data"][0]


def test_the_sdk_refunds_in_parts_until_nothing_is_left(house: House):
    payment, refunds = house.paid()["payment_intent"], house.client.v1.refunds
    part = refunds.create(
        {
            "payment_intent": payment,
            "amount": 1500,
            "reason": "requested_by_customer",
            "metadata": {"intent": "in_2"},
        }
    )
    assert (part.status, part.amount, part.currency) == ("succeeded", 1500, "eur")
    assert part.metadata
    assert part.metadata["intent"] == "in_2"
    assert charge_of(house, payment)["amount_refunded"] == 1500
    assert charge_of(house, payment)["refunded"] is False
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount on charge") as over:
        refunds.create({"payment_intent": payment, "amount": 3001})
    assert (over.value.param, over.value.code) == ("amount", None)
    rest = refunds.create({"payment_intent": payment})
    assert rest.amount == 3000
    assert charge_of(house, payment)["refunded"] is True
    with pytest.raises(stripe.InvalidRequestError, match="has already been refunded") as again:
        refunds.create({"payment_intent": payment})
    assert again.value.code == "charge_already_refunded"
    assert [one.id for one in refunds.list({"payment_intent": payment}).data] == [rest.id, part.id]
    assert house.ledger()["payments"][payment]["refunded"] == 4500


def test_a_refund_names_what_it_refunds(house: House):
    payment = house.paid()["payment_intent"]
    assert house.refused("/v1/refunds")["code"] == "parameter_missing"
    unknown = house.refused("/v1/refunds", {"payment_intent": "pi_none"})
    assert (unknown["status"], unknown["code"], unknown["param"]) == (404, "resource_missing", "payment_intent")
    assert house.refused("/v1/refunds", {"payment_intent": payment, "reason": "sorry"})["param"] == "reason"
    assert house.refused("/v1/refunds", {"payment_intent": payment, "amount": "0"})["param"] == "amount"
    charge = charge_of(house, payment)["id"]
    assert house.post("/v1/refunds", {"charge": charge, "amount": "100"})["payment_intent"] == payment


def test_money_that_never_came_cannot_go_back(house: House):
    session = house.session()
    declined = house.control(f"checkout/{session['id']}", action="decline")
    error = house.refused("/v1/refunds", {"payment_intent": declined["payment_intent"]})
    assert "does not have a successful charge" in error["message"]


def test_a_refund_that_succeeded_can_fail_days_later_and_the_charge_falls_back(house: House, box: Letterbox):
    payment = house.paid()["payment_intent"]
    refund = house.post("/v1/refunds", {"payment_intent": payment})
    house.listen(box)
    house.control(f"refund/{refund['id']}", status="failed", failure_reason="expired_or_canceled_card")
    failed = house.get(f"/v1/refunds/{refund['id']}", **{"expand[]": "failure_balance_transaction"})
    assert (failed["status"], failed["failure_reason"]) == ("failed", "expired_or_canceled_card")
    assert failed["failure_balance_transaction"]["type"] == "refund_failure"
    assert charge_of(house, payment)["amount_refunded"] == 0
    assert charge_of(house, payment)["refunded"] is False
    house.flush()
    assert sorted(box.kinds()) == ["refund.failed", "refund.updated", "refund.updated"]
    assert house.post("/v1/refunds", {"payment_intent": payment})["status"] == "succeeded"


def test_a_refund_can_wait_for_money_and_counts_meanwhile(house: House):
    payment = house.paid()["payment_intent"]
    house.control("refund/next", status="pending", pending_reason="insufficient_funds")
    refund = house.post("/v1/refunds", {"payment_intent": payment})
    assert (refund["status"], refund["pending_reason"]) == ("pending", "insufficient_funds")
    assert refund["balance_transaction"] is None
    assert house.refused("/v1/refunds", {"payment_intent": payment})["code"] == "charge_already_refunded"
    assert house.ledger()["payments"][payment]["refunds_on_the_way"] == 4500
    done = house.control(f"refund/{refund['id']}", status="succeeded")
    assert "pending_reason" not in done
    assert done["balance_transaction"]
    assert house.ledger()["payments"][payment]["refunded"] == 4500


def test_a_short_balance_can_also_refuse_the_call(house: House):
    payment = house.paid()["payment_intent"]
    house.control("refund/next", error="balance_insufficient")
    assert house.refused("/v1/refunds", {"payment_intent": payment})["code"] == "balance_insufficient"
    assert house.post("/v1/refunds", {"payment_intent": payment})["status"] == "succeeded"


def test_only_a_refund_that_waits_for_the_payer_can_be_cancelled(house: House):
    payment = house.paid()["payment_intent"]
    done = house.post("/v1/refunds", {"payment_intent": payment, "amount": "100"})
    assert "cannot be canceled" in house.refused(f"/v1/refunds/{done['id']}/cancel")["message"]
    house.control("refund/next", status="requires_action")
    waits = house.post("/v1/refunds", {"payment_intent": payment, "amount": "100"})
    assert house.post(f"/v1/refunds/{waits['id']}/cancel")["status"] == "canceled"
    assert charge_of(house, payment)["amount_refunded"] == 100


def test_a_delayed_method_is_refunded_slowly(house: House):
    session = house.session()
    house.control(f"checkout/{session['id']}", action="pay_later")
    payment = house.control(f"async/{session['id']}", result="succeeded")["payment_intent"]
    assert house.post("/v1/refunds", {"payment_intent": payment})["status"] == "pending"


def test_one_made_in_the_dashboard_has_no_metadata_and_no_request(house: House):
    payment = house.paid()["payment_intent"]
    refund = house.control("refund", payment_intent=payment, amount=500)
    assert (refund["amount"], refund["metadata"]) == (500, {})
    event = house.get("/v1/events", type="refund.created")["data"][0]
    assert event["request"] == {"id": None, "idempotency_key": None}


def test_a_finished_refund_does_not_change_any_more(house: House):
    payment = house.paid()["payment_intent"]
    refund = house.post("/v1/refunds", {"payment_intent": payment})
    house.control(f"refund/{refund['id']}", status="failed")
    with pytest.raises(AssertionError, match="cannot become succeeded"):
        house.control(f"refund/{refund['id']}", status="succeeded")


def test_twenty_at_once_never_refund_more_than_was_paid(house: House):
    payment = house.paid()["payment_intent"]
    with ThreadPoolExecutor(10) as threads:
        answers = threads.map(
            lambda _: house.call("POST", "/v1/refunds", {"payment_intent": payment, "amount": "2700"}), range(20)
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 19
    assert house.ledger()["payments"][payment]["refunded"] == 2700
