"""Every Calendly payload that we have becomes the right record."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bookings.invitees import (
    Cancellation,
    NotAnInvitee,
    RetiredShape,
    parse_invitee,
    parse_scheduled_event,
    parse_webhook,
)
from bookings.tests.expected_invitees import (
    API,
    CONTRACT,
    CONTRACT_CANCELLED,
    EXPECTED_INVITEES,
    EXPECTED_NEWS,
    NO_INVITEE,
    at,
)

FIXTURES = Path(__file__).parent / "fixtures" / "calendly"


def payload(path: str):
    return json.loads((FIXTURES / path).read_bytes())


@pytest.mark.parametrize("file", EXPECTED_NEWS)
def test_each_webhook_becomes_the_right_record(file):
    news = parse_webhook(payload(f"webhooks/{file}.json"))
    assert asdict(news) == asdict(EXPECTED_NEWS[file])  # as dicts, so that a failure shows the field


@pytest.mark.parametrize("file", EXPECTED_INVITEES)
def test_each_invitee_of_the_documentation_becomes_the_right_record(file):
    assert asdict(parse_invitee(payload(f"webhooks/{file}.json"))) == asdict(EXPECTED_INVITEES[file])


def test_no_payload_is_left_without_an_expected_record():
    folder = FIXTURES / "webhooks"
    files = {str(path.relative_to(folder)).removesuffix(".json") for path in folder.rglob("*.json")}
    assert files == EXPECTED_NEWS.keys() | EXPECTED_INVITEES.keys() | NO_INVITEE


@pytest.mark.parametrize(
    "name", ["routing_form_submission.created", "event_type.updated", "meeting_recap.created", "contact.deleted"]
)
def test_news_that_is_not_about_an_invitee_is_told_apart(name):
    body = payload("webhooks/documented/routing_form_submission.created.json")
    with pytest.raises(NotAnInvitee):
        parse_webhook(body | {"event": name})


def test_the_retired_first_version_is_told_apart():
    payload = {"event": {"uuid": "A1"}, "invitee": {"uuid": "B2"}, "uri": None}
    body = {"event": "invitee.created", "payload": payload}
    with pytest.raises(RetiredShape):
        parse_webhook(body)


def test_a_later_name_for_news_of_an_invitee_is_kept_as_text():
    body = payload("webhooks/written/flow_1_invitee.created.json") | {"event": "invitee.confirmed"}
    assert parse_webhook(body).name == "invitee.confirmed"


def test_a_later_word_for_who_canceled_is_kept_as_text():
    body = payload("webhooks/documented/invitee.canceled.json")
    body["payload"]["cancellation"]["canceler_type"] = "assistant"
    cancellation = parse_webhook(body).invitee.cancellation
    assert cancellation is not None
    assert cancellation.canceler_type == "assistant"


def test_an_unknown_status_is_not_a_cancellation():
    resource = payload("webhooks/documented/invitee_payload_all_fields_canceled.json") | {"status": "paused"}
    assert parse_invitee(resource).cancellation is None


@pytest.mark.parametrize("shape", ["written/flow_1_invitee.created", "seed_shape/section_3_2_invitee.created"])
def test_news_of_a_cancellation_cancels_whatever_the_status_says(shape):
    body = payload(f"webhooks/{shape}.json") | {"event": "invitee.canceled"}
    assert parse_webhook(body).invitee.cancellation is not None


def test_the_contracts_event_may_say_alone_who_canceled_and_why():
    body = payload("webhooks/seed_shape/section_3_2_invitee.canceled.json")
    del body["payload"]["data"]["invitee"]["cancellation"]
    assert parse_webhook(body).invitee.cancellation == CONTRACT_CANCELLED


def test_the_contracts_reschedule_may_be_told_inside_the_cancellation_alone():
    body = payload("webhooks/seed_shape/section_3_2_reschedule_invitee.canceled.json")
    del body["payload"]["data"]["invitee"]["rescheduled"]
    assert parse_webhook(body).invitee.rescheduled


def test_the_contracts_payload_may_name_the_invitee_alone():
    body = payload("webhooks/seed_shape/section_1_2_invitee.created_no-top-level-event.json")
    del body["payload"]["data"]["invitee"]["uri"]
    del body["payload"]["data"]["event"]["uri"]
    assert asdict(parse_webhook(body).invitee) == asdict(CONTRACT)


def test_the_event_is_cut_from_the_invitees_address_where_nothing_else_names_it():
    resource = payload("webhooks/recorded/2020-12_invitee.created_minimal-old-shape.json")["payload"]
    del resource["event"]
    assert parse_invitee(resource).event_uri == f"{API}/scheduled_events/{'A' * 16}"


@pytest.mark.parametrize(
    ("tracking", "flow_id"),
    [
        ({"booking_flow_id": "bf_1", "utm_content": "bf_2"}, "bf_1"),
        ({"booking_flow_id": "", "utm_content": "bf_2"}, "bf_2"),
        ({"utm_content": "spring-banner"}, None),
        ({"utm_term": "bf_2"}, None),
    ],
)
def test_the_flow_id_is_found_where_it_may_travel(tracking, flow_id):
    resource = payload("webhooks/written/flow_1_invitee.created.json")["payload"] | {"tracking": tracking}
    assert parse_invitee(resource).flow_id == flow_id


def test_tracking_of_unknown_name_is_not_kept():
    resource = payload("webhooks/written/flow_1_invitee.created.json")["payload"] | {"tracking": {"gclid": "1"}}
    assert parse_invitee(resource).tracking == {}


def test_a_meetings_password_is_kept_nowhere():
    body = payload("webhooks/recorded/2026-06_invitee.created_zoom_api-booked.json")
    body["payload"]["scheduled_event"]["location"]["data"]["password"] = "open sesame"
    assert "open sesame" not in repr(parse_webhook(body))


def test_texts_are_made_fit_for_the_database_and_cut_to_bounds():
    resource = payload("webhooks/written/flow_1_invitee.created.json")["payload"]
    resource["name"] = "Ca\x00sey \ud800 😀"
    resource["email"] = "x" * 300
    resource["questions_and_answers"] = [{"question": "Why?", "answer": "y" * 20_000}]

    invitee = parse_invitee(resource)

    assert invitee.name == "Casey ? 😀"
    assert invitee.email == "x" * 255
    assert invitee.answers == (("Why?", "y" * 10_000),)


def test_a_rest_event_without_a_time_of_cancellation_is_cancelled_all_the_same():
    event = parse_scheduled_event(payload("rest/scheduled_event_001.json")["resource"])

    assert event.cancelled
    assert event.cancellation == Cancellation(None, "FooBar", "invitee", "I have to be absent next week, sorry.")
    assert (event.event_id, event.event_type_id, event.active_invitees) == ("EV001", "ET001", 0)
    assert (event.start, event.end) == (at("2020-07-22 01:30:00.0"), at("2020-07-22 02:00:00.0"))
    assert event.location == {}


def test_an_invitee_in_the_middle_of_a_chain_has_both_links():
    invitee = parse_invitee(payload("rest/scheduled_event_invitee_301.json")["resource"])

    assert (invitee.old_event_id, invitee.old_invitee_id) == ("EV301_OLD1", "INV001")
    assert (invitee.new_event_id, invitee.new_invitee_id) == ("EV301_NEW1", "INV001")
    assert invitee.rescheduled
    assert invitee.phone == "12345678"
    assert invitee.answers[3] == ("Checkboxes Question", "A1\nOther")
