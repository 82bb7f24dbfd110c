"""What the local Calendly posts: bodies as recorded, signatures, tries, and both halves of a reschedule."""

import hashlib
import hmac
import json
import time
from pathlib import Path

import pytest

import bookings
from sandbox.tests.test_calendly.conftest import BO, EVENTS, KEY, MIA

BODIES = Path(bookings.__file__).parent / "tests" / "fixtures" / "calendly" / "webhooks"


def body(name):
    return json.loads((BODIES / name).read_text())


def keys(value, opaque=()):
    """The shape of a JSON value: its keys at every depth. What is inside the keys named in `opaque` does not count."""
    if isinstance(value, dict):
        return {key: None if key in opaque else keys(inner, opaque) for key, inner in value.items()}
    if isinstance(value, list):
        return [keys(value[0], opaque)] if value else None
    return None


def heard(listener):
    return listener.hear()[0].body


RECORDED = [
    ("invitee.created", "recorded/2025-05_invitee.created_google-meet_with-utm.json"),
    ("invitee.created", "written/flow_1_invitee.created.json"),
    ("invitee_no_show.created", "recorded/2026-06_invitee_no_show.created.json"),
    ("invitee_no_show.deleted", "written/invitee_no_show.deleted.json"),
]


@pytest.mark.parametrize(("name", "file"), RECORDED)
def test_a_body_has_exactly_the_keys_of_the_real_one(calendly, listener, name, file):
    calendly.subscribe(listener.url, events=[name])
    zoom = "2026-06" in file
    answers = {} if zoom else {"What is it about?": "Hiring"}
    booked = calendly.book(event_type="code-review" if zoom else "consultation", answers=answers)
    if name.startswith("invitee_no_show"):
        calendly.room("no_show", invitee=booked["invitee_id"])
    if name == "invitee_no_show.deleted":
        calendly.room("no_show", invitee=booked["invitee_id"], undo=True)
    assert keys(heard(listener)) == keys(body(file))


def test_both_bodies_of_a_reschedule_have_exactly_the_keys_of_the_real_ones(calendly, listener):
    booked = calendly.book(answers={"What is it about?": "Hiring"})
    calendly.subscribe(listener.url)
    calendly.room("reschedule", invitee=booked["invitee_id"])
    by_name = {each.body["event"]: each.body for each in listener.hear(2)}
    assert keys(by_name["invitee.created"]) == keys(body("written/flow_2_reschedule_invitee.created.json"))
    assert keys(by_name["invitee.canceled"]) == keys(body("written/flow_3_reschedule_invitee.canceled.json"))


def test_no_body_lacks_a_key_of_the_documented_ones(calendly, listener):
    calendly.subscribe(listener.url, events=["invitee.canceled"])
    booked = calendly.book()
    calendly.post(f"/scheduled_events/{booked['event_id']}/cancellation", {})
    canceled = heard(listener)
    assert keys(canceled, {"questions_and_answers"}) == keys(
        body("written/flow_4_invitee.canceled_by-host-through-api.json"), {"questions_and_answers"}
    )
    assert set(body("documented/invitee.canceled.json")["payload"]) <= set(canceled["payload"])


def test_a_body_says_what_was_booked(calendly, listener):
    calendly.subscribe(listener.url)
    tracking = {"utm_source": "web", "utm_content": "bf_1", "booking_flow_id": "bf_1"}
    booked = calendly.book(phone="+49 30 1", timezone="Asia/Tokyo", tracking=tracking)
    told = heard(listener)
    payload = told["payload"]
    assert told["event"] == "invitee.created"
    assert told["created_by"] == f"{calendly.base}/users/{BO}"
    assert (payload["uri"], payload["event"]) == (booked["invitee_uri"], booked["event_uri"])
    assert payload["scheduled_event"]["start_time"] == booked["start_time"]
    assert payload["scheduled_event"]["location"]["status"] == "processing"
    assert (payload["text_reminder_number"], payload["timezone"]) == ("+49 30 1", "Asia/Tokyo")
    assert payload["tracking"] == {
        "utm_campaign": None,
        "utm_source": "web",
        "utm_medium": None,
        "utm_content": "bf_1",
        "utm_term": None,
        "salesforce_uuid": None,
    }
    assert "cancellation" not in payload


@pytest.mark.parametrize("order", ["canceled_first", "created_first"])
def test_the_halves_of_a_reschedule_name_each_other_and_come_as_ordered(calendly, listener, order):
    old = calendly.book(tracking={"utm_content": "bf_1"})
    calendly.subscribe(listener.url)
    listener.answers = [500]
    new = calendly.room("reschedule", invitee=old["invitee_id"], event_type="intro", order=order)
    # The first one has to be tried twice; the second waits for it.
    told = [each.body for each in listener.hear(3)]
    halves = ["invitee.canceled", "invitee.created"]
    first, second = halves if order == "canceled_first" else reversed(halves)
    assert [each["event"] for each in told] == [first, first, second]
    by_name = {each["event"]: each["payload"] for each in told}
    canceled, created = by_name["invitee.canceled"], by_name["invitee.created"]
    assert (canceled["uri"], canceled["new_invitee"]) == (old["invitee_uri"], new["invitee_uri"])
    assert (created["uri"], created["old_invitee"]) == (new["invitee_uri"], old["invitee_uri"])
    assert (canceled["rescheduled"], created["rescheduled"]) == (True, False)
    assert created["event"] != canceled["event"]
    assert created["scheduled_event"]["name"] == "Free intro call"
    assert created["tracking"]["utm_content"] == "bf_1"
    assert canceled["cancellation"]["canceler_type"] == "invitee"


def test_a_reschedule_may_lose_the_tracking(calendly, listener):
    old = calendly.book(tracking={"utm_content": "bf_1"})
    calendly.subscribe(listener.url, events=["invitee.created"])
    calendly.room("switches", reschedule_copies_tracking=False)
    calendly.room("reschedule", invitee=old["invitee_id"])
    assert set(heard(listener)["payload"]["tracking"].values()) == {None}


@pytest.mark.parametrize(
    ("by", "name"),
    [("host", "Bo Builder"), ("invitee", "Casey Client")],
)
def test_a_cancellation_says_who_and_why(calendly, listener, by, name):
    booked = calendly.book()
    calendly.subscribe(listener.url)
    calendly.room("cancel", invitee=booked["invitee_uri"], by=by, reason="ill")
    payload = heard(listener)["payload"]
    told = payload["cancellation"]
    assert (told["canceler_type"], told["canceled_by"], told["reason"]) == (by, name, "ill")
    assert payload["scheduled_event"]["cancellation"] == told
    assert (payload["status"], payload["scheduled_event"]["status"]) == ("canceled", "canceled")


def test_a_delivery_is_signed_with_the_key_of_its_subscription(calendly, listener):
    calendly.subscribe(listener.url)
    calendly.book()
    delivery = listener.hear()[0]
    stamp, signature = (part.split("=")[1] for part in delivery.headers["Calendly-Webhook-Signature"].split(","))
    expected = hmac.new(KEY.encode(), f"{stamp}.".encode() + delivery.raw, hashlib.sha256).hexdigest()
    assert signature == expected
    assert abs(int(stamp) - time.time()) < 5


def test_without_a_key_there_is_no_signature(calendly, listener):
    calendly.subscribe(listener.url, signing_key=None)
    calendly.book()
    assert "Calendly-Webhook-Signature" not in listener.hear()[0].headers


def test_a_subscription_hears_only_what_it_asked_for(calendly, listener):
    user = f"{calendly.base}/users/{MIA}"
    calendly.subscribe(listener.url, scope="user", user=user, events=["invitee.canceled"])
    of_another_host, of_the_host = calendly.book(event_type="intro"), calendly.book(event_type="code-review")
    for each in (of_another_host, of_the_host):
        calendly.room("cancel", invitee=each["invitee_id"])
    assert heard(listener)["payload"]["uri"] == of_the_host["invitee_uri"]
    assert listener.hears_nothing()


def test_what_is_refused_is_tried_again_and_signed_anew(calendly, listener):
    listener.answers = [500]
    calendly.subscribe(listener.url)
    calendly.book()
    first, second = listener.hear(2)
    assert first.raw == second.raw
    assert first.headers["Calendly-Webhook-Signature"] != second.headers["Calendly-Webhook-Signature"]


def test_a_subscription_that_fails_for_a_day_is_disabled_and_hears_no_more(calendly, listener):
    listener.answers = [503] * 20
    path = calendly.subscribe(listener.url)["uri"].removeprefix(calendly.base)
    calendly.book()
    listener.hear()

    def until(key, wrong):
        for _ in range(50):
            resource = calendly.get(path).json()["resource"]
            if resource[key] != wrong:
                return resource
            time.sleep(0.05)
        raise AssertionError(f"{key} stays {wrong}")

    assert until("retry_started_at", None)["state"] == "active"
    calendly.room("clock", advance_seconds=23 * 3600)
    time.sleep(0.6)
    assert calendly.get(path).json()["resource"]["state"] == "active"
    calendly.room("clock", advance_seconds=2 * 3600)
    assert until("state", "active")["state"] == "disabled"
    while not listener.hears_nothing():
        pass
    calendly.book()
    assert listener.hears_nothing()


def test_what_was_lost_comes_with_a_flush_in_the_order_that_is_asked_for(calendly, listener):
    calendly.subscribe(listener.url)
    calendly.room("faults", rates={"drop": 1})
    one, two, three = calendly.book(), calendly.book(), calendly.book()
    assert listener.hears_nothing()
    order = [three["invitee_id"], one["invitee_id"], two["invitee_id"]]
    assert [each["status"] for each in calendly.room("flush", order=order)["delivered"]] == [200] * 3
    assert [each.body["payload"]["uri"].rpartition("/")[2] for each in listener.hear(3)] == order


def test_the_contracts_shapes_lack_and_have_what_the_contract_says(calendly, listener):
    calendly.subscribe(listener.url)
    answers = {"What is it about?": "Hiring"}
    tracking = {"utm_source": "web", "utm_medium": "mail", "utm_campaign": "spring", "utm_content": "bf_1"}

    def told():
        return heard(listener)

    calendly.room("shape", shape="contract")
    booked = calendly.book(answers=answers, tracking=tracking)
    created = told()
    assert keys(created) == keys(body("seed_shape/section_3_2_invitee.created.json"))
    assert created["payload"]["data"]["invitee"]["tracking"]["booking_flow_id"] == "bf_1"
    calendly.room("reschedule", invitee=booked["invitee_id"], order="canceled_first", reason="Moved")
    assert keys(told()) == keys(body("seed_shape/section_3_2_reschedule_invitee.canceled.json"))
    moved = told()
    assert keys(moved) == keys(body("seed_shape/section_3_2_reschedule_invitee.created.json"))
    calendly.room("cancel", invitee=moved["payload"]["uri"], reason="ill")
    assert keys(told())["payload"]["data"]["event"] == keys(
        body("seed_shape/section_3_2_invitee.canceled.json")["payload"]["data"]["event"]
    )
    calendly.room("shape", shape="contract-1.2")
    calendly.book(answers=answers, tracking=tracking)
    assert keys(told()) == keys(body("seed_shape/section_1_2_invitee.created_no-top-level-event.json"))


@pytest.mark.parametrize("name", EVENTS)
def test_sample_data_looks_like_a_real_body(calendly, name):
    asked = {"event": name, "organization": calendly.organization, "scope": "organization"}
    sample = calendly.get("/sample_webhook_data", **asked).json()
    assert sample["event"] == name
    assert set(sample["payload"]) - {"cancellation"} == set(body("written/flow_1_invitee.created.json")["payload"])
    assert ("cancellation" in sample["payload"]) == (name == "invitee.canceled")
