"""Disputes of the local Stripe: the bank opens and decides them, the API answers."""

import pytest

from sandbox.tests.test_stripe.house import House, Letterbox


@pytest.fixture
def payment(house: House) -> str:
    return str(house.paid()["payment_intent"])


def kinds(house: House) -> list[str]:
    return [event["type"] for event in reversed(house.get("/v1/events", type="charge.dispute.*", limit=100)["data"])]


def test_a_chargeback_takes_the_money_and_forbids_refunds(house: House, payment: str):
    dispute = house.control("dispute", payment_intent=payment, reason="product_not_received")
    assert (dispute["status"], dispute["is_charge_refundable"]) == ("needs_response", False)
    taken = dispute["balance_transactions"][0]
    assert (taken["amount"], taken["fee"], taken["currency"]) == (-4860, 1500, "usd")
    error = house.refused("/v1/refunds", {"payment_intent": payment})
    assert (error["code"], error["status"]) == ("charge_disputed", 400)
    assert kinds(house) == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert house.get("/v1/charges", payment_intent=payment)["data"][0]["disputed"] is True


def test_a_draft_is_not_sent_and_what_is_sent_is_final(house: House, payment: str):
    disputes = house.client.v1.disputes
    dispute = house.control("dispute", payment_intent=payment)
    draft = disputes.update(dispute["id"], {"evidence": {"product_description": "A talk"}, "submit": False})
    assert (draft.status, draft.evidence_details.submission_count) == ("needs_response", 0)
    assert draft.evidence_details.has_evidence
    sent = disputes.update(dispute["id"], {"evidence": {"service_date": "2026-11-20"}})
    assert (sent.status, sent.evidence_details.submission_count) == ("under_review", 1)
    assert sent.evidence.product_description == "A talk"
    assert "cannot be updated" in house.refused(f"/v1/disputes/{dispute['id']}", {"submit": "true"})["message"]


def test_a_won_dispute_gives_the_money_back_and_allows_refunds(house: House, payment: str):
    dispute = house.control("dispute", payment_intent=payment)
    won = house.control(f"dispute/{dispute['id']}", status="won")
    assert [moved["amount"] for moved in won["balance_transactions"]] == [-4860, 4860]
    assert kinds(house)[2:] == ["charge.dispute.closed", "charge.dispute.funds_reinstated"]
    assert house.post("/v1/refunds", {"payment_intent": payment})["status"] == "succeeded"


def test_accepting_a_dispute_loses_it(house: House, payment: str):
    dispute = house.control("dispute", payment_intent=payment)
    assert house.client.v1.disputes.close(dispute["id"]).status == "lost"
    assert house.ledger()["payments"][payment]["lost"] == 4500
    assert house.refused("/v1/refunds", {"payment_intent": payment})["code"] == "charge_disputed"
    assert "cannot be closed" in house.refused(f"/v1/disputes/{dispute['id']}/close")["message"]


def test_what_a_lost_part_leaves_can_go_back_if_stripe_says_so(house: House, payment: str):
    dispute = house.control("dispute", payment_intent=payment, amount=1000)
    house.control(f"dispute/{dispute['id']}", status="lost", is_charge_refundable=True)
    assert house.refused("/v1/refunds", {"payment_intent": payment, "amount": "3501"})["param"] == "amount"
    assert house.post("/v1/refunds", {"payment_intent": payment})["amount"] == 3500


def test_an_inquiry_moves_no_money_and_a_full_refund_ends_it(house: House, payment: str):
    dispute = house.control("dispute", payment_intent=payment, inquiry=True)
    assert (dispute["status"], dispute["is_charge_refundable"]) == ("warning_needs_response", True)
    assert dispute["balance_transactions"] == []
    house.post("/v1/refunds", {"payment_intent": payment})
    assert house.get(f"/v1/disputes/{dispute['id']}")["status"] == "warning_closed"


def test_an_inquiry_can_become_a_chargeback(house: House, payment: str):
    dispute = house.control("dispute", payment_intent=payment, inquiry=True)
    grown = house.control(f"dispute/{dispute['id']}", status="needs_response")
    assert (grown["is_charge_refundable"], len(grown["balance_transactions"])) == (False, 1)
    assert house.refused("/v1/refunds", {"payment_intent": payment})["code"] == "charge_disputed"


def test_evidence_has_known_fields_a_bound_and_an_end(house: House, payment: str):
    path = f"/v1/disputes/{house.control('dispute', payment_intent=payment)['id']}"
    assert house.refused(path, {"evidence[colour]": "red"})["code"] == "parameter_unknown"
    long = {"evidence[uncategorized_text]": "x" * 100_000, "evidence[customer_name]": "x" * 50_001, "submit": "false"}
    assert "150000 characters together" in house.refused(path, long)["message"]
    house.pass_time(11 * 86400)
    assert "time to answer" in house.refused(path, {"submit": "true"})["message"]


def test_disputes_are_listed_by_payment(house: House, payment: str):
    dispute = house.control("dispute", payment_intent=payment)
    other = house.paid()["payment_intent"]
    assert [row["id"] for row in house.get("/v1/disputes", payment_intent=payment)["data"]] == [dispute["id"]]
    assert house.get("/v1/disputes", payment_intent=other)["data"] == []


def test_the_books_hear_of_disputes_in_letters_too(house: House, box: Letterbox, payment: str):
    house.listen(box, "charge.dispute.created")
    house.control("dispute", payment_intent=payment)
    house.flush()
    assert box.kinds() == ["charge.dispute.created"]
