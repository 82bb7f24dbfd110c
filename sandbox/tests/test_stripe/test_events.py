"""Events of the local Stripe and the letters that carry them, verified by Stripe's own SDK."""

import stripe

from sandbox.tests.test_stripe.house import SECRET, House, Letterbox

PAID = ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"]


def kinds(house: House, **filters: object) -> list[str]:
    """Types of the events in Stripe's books, oldest first."""
    return [event["type"] for event in reversed(house.get("/v1/events", limit=100, **filters)["data"])]


def test_a_paid_session_is_told_in_stripes_usual_order(house: House):
    house.paid()
    assert kinds(house) == PAID
    house.pass_time(3)
    assert kinds(house) == [*PAID, "charge.updated"]


def test_the_other_ways_are_told_in_their_order(house: House):
    session = house.session()["id"]
    house.control(f"checkout/{session}", action="decline")
    assert kinds(house) == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]
    house.control(f"checkout/{session}", action="pay_later")
    assert kinds(house)[3:] == ["checkout.session.completed", "payment_intent.processing", "charge.pending"]
    house.control(f"async/{session}", result="failed")
    assert kinds(house)[6:] == [
        "charge.failed",
        "payment_intent.payment_failed",
        "checkout.session.async_payment_failed",
    ]


def test_an_event_is_a_snapshot(house: House):
    session = house.paid()
    told = house.get("/v1/events", type="payment_intent.created")["data"][0]
    assert told["data"]["object"]["status"] == "requires_payment_method"
    house.pass_time(3)
    updated = house.get("/v1/events", type="charge.updated")["data"][0]
    assert updated["data"]["previous_attributes"] == {"balance_transaction": None}
    assert house.get(f"/v1/payment_intents/{session['payment_intent']}")["status"] == "succeeded"


def test_letters_are_signed_as_the_sdk_expects(house: House, box: Letterbox):
    endpoint = house.listen(box)
    assert endpoint["secret"] == SECRET
    house.paid()
    house.flush()
    assert sorted(box.kinds()) == sorted([*PAID, "charge.updated"])
    for headers, body in box.letters:
        event = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], SECRET)
        assert (event.api_version, event.livemode) == ("2026-05-27.dahlia", False)
        assert ",v0=" in headers["Stripe-Signature"]


def test_an_event_names_the_call_that_made_it(house: House):
    payment = house.paid()["payment_intent"]
    answer = house.call("POST", "/v1/refunds", {"payment_intent": payment}, key="my-key")
    event = house.get("/v1/events", type="refund.created")["data"][0]
    assert event["request"] == {"id": answer.headers["Request-Id"], "idempotency_key": "my-key"}


def test_only_what_was_subscribed_is_sent(house: House, box: Letterbox):
    house.listen(box, "checkout.session.completed")
    house.paid()
    house.flush()
    assert box.kinds() == ["checkout.session.completed"]
    assert house.refused("/v1/webhook_endpoints", {"url": box.url, "enabled_events[]": "booking.made"})["status"] == 400


def test_a_refused_letter_is_tried_again_with_a_fresh_signature(house: House, box: Letterbox):
    box.refusals = [500, 302]
    house.listen(box, "checkout.session.completed")
    house.paid()
    box.wait_for(1)
    pending = house.get("/v1/events", type="checkout.session.completed")["data"][0]
    assert pending["pending_webhooks"] == 1
    assert kinds(house, delivery_success="false") == ["checkout.session.completed"]
    house.pass_time(1.1)
    box.wait_for(2)
    house.pass_time(2.1)
    box.wait_for(3)
    assert [body == box.letters[0][1] for _, body in box.letters] == [True] * 3
    assert len({headers["Stripe-Signature"] for headers, _ in box.letters}) == 3
    house.flush()
    assert house.get(f"/v1/events/{pending['id']}")["pending_webhooks"] == 0
    assert kinds(house, delivery_success="false") == []


def test_a_letter_that_is_refused_for_good_stays_undelivered(house: House, box: Letterbox):
    box.refusals = [500] * 6
    house.listen(box, "checkout.session.completed")
    house.paid()

    def given_up() -> bool:
        events = house.get("/v1/events", delivery_success="false")["data"]
        return [(event["type"], event["pending_webhooks"]) for event in events] == [("checkout.session.completed", 0)]

    house.pass_time_until(given_up)
    assert len(box.letters) == 6
    house.flush()
    assert kinds(house, delivery_success="false") == []


def test_a_second_copy_that_is_refused_does_not_undo_the_first(house: House, box: Letterbox):
    box.refusals = [200] + [500] * 6
    house.listen(box, "checkout.session.completed")
    house.control("faults", next=[{"event": "*.completed", "do": "duplicate"}])
    house.paid()
    house.pass_time_until(lambda: len(box.letters) == 7)
    assert kinds(house, delivery_success="false") == []


def test_a_lost_letter_is_never_sent_but_the_event_is_listed(house: House, box: Letterbox):
    house.listen(box)
    house.control("faults", rates={"drop": 1})
    house.paid()
    house.pass_time(3600)
    assert box.letters == []
    every = house.client.v1.events.list({"delivery_success": False, "types": PAID, "limit": 2}).auto_paging_iter()
    assert [event.type for event in every] == PAID[::-1]
    house.flush()
    assert sorted(box.kinds()) == sorted([*PAID, "charge.updated"])


def test_a_flush_delivers_in_the_order_that_is_asked_for(house: House, box: Letterbox):
    house.listen(box, *PAID)
    house.control("faults", rates={"drop": 1})
    house.paid()
    order = [event["id"] for event in house.get("/v1/events", types=None)["data"] if event["type"] in PAID]
    house.flush(order)
    assert [event["id"] for event in box.events()] == order
    assert box.kinds() == PAID[::-1]


def test_a_flush_without_an_order_shuffles_by_the_seed(house: House, box: Letterbox):
    def heard(seed: str) -> list[str]:
        house.control("reset", seed=seed)
        house.control("faults", rates={"drop": 1})
        box.letters.clear()
        for _ in range(3):
            house.paid()
        house.flush()
        return box.kinds()

    house.listen(box, *PAID)
    first = heard("1")
    assert heard("1") == first
    assert heard("2") != first


def test_letters_are_doubled_and_overtaken_when_told_to(house: House, box: Letterbox):
    house.listen(box, "charge.succeeded", "checkout.session.completed")
    house.control(
        "faults",
        next=[
            {"event": "charge.succeeded", "do": "reorder"},
            {"event": "checkout.session.completed", "do": "duplicate"},
        ],
    )
    house.paid()
    box.wait_for(3)
    assert box.kinds()[0] == "checkout.session.completed"
    assert sorted(box.kinds()) == ["charge.succeeded", "checkout.session.completed", "checkout.session.completed"]
    doubled = [event["id"] for event in box.events() if event["type"] == "checkout.session.completed"]
    assert doubled[0] == doubled[1]


def test_an_endpoint_can_be_read_changed_turned_off_and_deleted(house: House, box: Letterbox):
    endpoints = house.client.v1.webhook_endpoints
    made = house.listen(box, "checkout.session.completed")
    path = f"/v1/webhook_endpoints/{made['id']}"
    assert "secret" not in house.get(path)
    assert [one.id for one in endpoints.list().data] == [made["id"]]
    second = house.listen(box, "charge.succeeded")
    assert second["secret"] == SECRET, "the secret that was configured is every endpoint's"
    house.post(f"/v1/webhook_endpoints/{second['id']}", {"disabled": "true"})
    assert endpoints.update(made["id"], {"enabled_events": ["refund.created"]}).enabled_events == ["refund.created"]
    house.paid()
    house.flush()
    assert box.letters == []
    assert endpoints.delete(made["id"]).deleted
    assert house.call("GET", path).status_code == 404


def test_a_letter_for_a_deleted_endpoint_is_thrown_away(house: House, box: Letterbox):
    made = house.listen(box)
    house.control("faults", rates={"drop": 1})
    house.paid()
    house.client.v1.webhook_endpoints.delete(made["id"])
    house.flush()
    assert box.letters == []


def test_type_and_types_exclude_each_other(house: House):
    both = {"type": "charge.succeeded", "types[]": "charge.updated"}
    assert house.call("GET", "/v1/events", both).status_code == 400
    assert house.call("GET", "/v1/events", {f"types[{n}]": "charge.updated" for n in range(21)}).status_code == 400
