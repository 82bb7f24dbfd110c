"""Idempotency keys and failing calls: what was done, what was said, what is said again."""

import threading
import time

import pytest
import requests

from sandbox.tests.test_stripe.house import TALK, House

SESSIONS = "/v1/checkout/sessions"


def sessions_made(house: House) -> int:
    return len(house.ledger()["objects"].get("checkout.session", []))


def test_the_same_key_gives_the_same_answer_and_one_session(house: House):
    first = house.call("POST", SESSIONS, TALK, key="k")
    again = house.call("POST", SESSIONS, TALK, key="k")
    assert first.json() == again.json()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Original-Request"] == first.headers["Request-Id"] != again.headers["Request-Id"]
    assert sessions_made(house) == 1


def test_the_order_of_the_parameters_does_not_matter(house: House):
    house.call("POST", SESSIONS, TALK, key="k")
    again = house.call("POST", SESSIONS, dict(reversed(TALK.items())), key="k")
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_key_is_for_one_call_only(house: House):
    house.call("POST", SESSIONS, TALK, key="k")
    other = house.refused(SESSIONS, {**TALK, "client_reference_id": "bk_2"}, key="k")
    assert (other["status"], other["type"]) == (400, "idempotency_error")
    assert "same parameters" in other["message"]
    elsewhere = house.refused("/v1/refunds", TALK, key="k")
    assert elsewhere["type"] == "idempotency_error"
    assert "same endpoint" in elsewhere["message"]


def test_a_key_that_is_too_long_is_refused(house: House):
    assert house.refused(SESSIONS, TALK, key="k" * 256)["type"] == "idempotency_error"


def test_a_key_whose_call_still_runs_is_a_conflict(house: House):
    house.control("faults", rates={"slow_seconds": 0.6}, next=[{"method": "POST", "do": "slow"}])
    answers = []
    slow = threading.Thread(target=lambda: answers.append(house.call("POST", SESSIONS, TALK, key="k")))
    slow.start()
    time.sleep(0.2)
    conflict = house.refused(SESSIONS, TALK, key="k")
    slow.join()
    assert (conflict["status"], conflict["code"]) == (409, "idempotency_key_in_use")
    assert house.call("POST", SESSIONS, TALK, key="k").json() == answers[0].json()
    assert sessions_made(house) == 1


def test_wrong_parameters_are_not_kept_under_the_key(house: House):
    house.refused(SESSIONS, {**TALK, "mode": "pay"}, key="k")
    assert house.post(SESSIONS, TALK, key="k")["status"] == "open"


def test_a_wrong_api_key_is_not_kept_under_the_key(house: House):
    house.refused(SESSIONS, TALK, key="k", headers={"Authorization": "Bearer sk_test_wrong"})
    assert house.post(SESSIONS, TALK, key="k")["status"] == "open"


def test_a_refusal_that_ran_is_kept_under_the_key(house: House):
    payment = house.paid()["payment_intent"]
    house.post("/v1/refunds", {"payment_intent": payment})
    for _ in range(2):
        assert house.refused("/v1/refunds", {"payment_intent": payment}, key="k")["code"] == "charge_already_refunded"
    last = house.call("POST", "/v1/refunds", {"payment_intent": payment}, key="k")
    assert last.headers["Idempotent-Replayed"] == "true"


def test_a_key_is_forgotten_after_a_day(house: House):
    first = house.post(SESSIONS, TALK, key="k")
    house.pass_time(23 * 3600)
    assert house.post(SESSIONS, TALK, key="k")["id"] == first["id"]
    house.pass_time(2 * 3600)
    assert house.post(SESSIONS, TALK, key="k")["id"] != first["id"]


def test_a_failure_after_the_deed_is_replayed_although_it_was_done(house: House):
    house.control("faults", next=[{"method": "POST", "path": SESSIONS, "do": "fail_after"}])
    assert house.refused(SESSIONS, TALK, key="k")["status"] == 500
    again = house.call("POST", SESSIONS, TALK, key="k")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (500, "true")
    assert sessions_made(house) == 1


def test_a_saved_failure_before_the_deed_needs_a_new_key(house: House):
    house.control("faults", next=[{"path": SESSIONS, "do": "fail_saved"}])
    assert house.refused(SESSIONS, TALK, key="k")["status"] == 500
    assert house.refused(SESSIONS, TALK, key="k")["status"] == 500
    assert sessions_made(house) == 0
    assert house.post(SESSIONS, TALK, key="k:2")["status"] == "open"


@pytest.mark.parametrize("fault", ["fail_before", "rate_limit", "reset_before"])
def test_a_failure_at_the_door_leaves_the_key_free(house: House, fault: str):
    house.control("faults", next=[{"method": "POST", "do": fault}])
    if fault == "reset_before":
        with pytest.raises(requests.ConnectionError):
            house.call("POST", SESSIONS, TALK, key="k")
    else:
        assert house.refused(SESSIONS, TALK, key="k")["status"] == {"fail_before": 503, "rate_limit": 429}[fault]
    assert sessions_made(house) == 0
    assert house.post(SESSIONS, TALK, key="k")["status"] == "open"


@pytest.mark.parametrize("fault", ["reset_after", "garble"])
def test_an_answer_that_was_lost_comes_with_the_same_key(house: House, fault: str, capfd: pytest.CaptureFixture[str]):
    house.control("faults", next=[{"method": "POST", "do": fault}])
    with pytest.raises(requests.RequestException):
        house.call("POST", SESSIONS, TALK, key="k")
    assert sessions_made(house) == 1
    again = house.call("POST", SESSIONS, TALK, key="k")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert sessions_made(house) == 1
    assert capfd.readouterr().err == "", "a fault that was asked for is no error of the server"


def test_without_a_key_every_call_is_a_new_one(house: House):
    assert house.session()["id"] != house.session()["id"]


def test_exact_faults_happen_once_and_only_where_named(house: House):
    house.control("faults", next=[{"method": "POST", "path": "/v1/refunds", "do": "fail_before"}])
    payment = house.paid()["payment_intent"]
    assert house.refused("/v1/refunds", {"payment_intent": payment})["status"] == 503
    assert house.post("/v1/refunds", {"payment_intent": payment})["status"] == "succeeded"


def test_the_control_room_never_fails_and_is_no_part_of_the_api(house: House):
    house.control("faults", rates={"fail_before": 1})
    assert house.ledger()["payments"] == {}
    house.control("faults", rates={})
    assert house.call("GET", "/v1/_sandbox/ledger").status_code == 404
    wrong = requests.post(f"{house.base}/_sandbox/faults", json={"rates": {"dorp": 1}}, timeout=5)
    assert (wrong.status_code, "dorp" in wrong.json()["error"]) == (400, True)


def test_stripe_says_only_sometimes_whether_to_try_again(house: House):
    house.control("faults", rates={"rate_limit": 1})
    answers = [house.call("GET", "/v1/account") for _ in range(20)]
    assert {answer.headers.get("Stripe-Should-Retry") for answer in answers} == {None, "true"}
    assert {answer.json()["error"]["code"] for answer in answers} == {"rate_limit", "lock_timeout"}
    house.control("faults", rates={})


def test_the_same_seed_fails_the_same_calls(house: House):
    def statuses() -> list[int]:
        house.control("reset", seed="a")
        house.control("faults", seed="a", rates={"rate_limit": 0.5})
        return [house.call("GET", "/v1/account").status_code for _ in range(12)]

    first = statuses()
    assert set(first) == {200, 429}
    assert statuses() == first
