"""initiate-booking: its answer, its link, and for whom it may begin (contract section 1.1; DESIGN 6.4, 6.11)."""

import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from bookings.models import BookingFlow, SessionType
from bookings.tests.hostile import assert_refused, nothing_written
from bookings.tests.marketplace import (
    Caller,
    begun,
    caller,
    offer,
)

pytestmark = pytest.mark.django_db

SCHEDULING = "/api/scheduling"
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")


@pytest.fixture
def ann() -> Caller:
    return caller("ann@example.com")


def initiate(client: Caller, session_type: SessionType, **more: Any) -> Any:
    body = {"sessionTypeId": session_type.id, "builderProfileId": session_type.builder_id, **more}
    return client.post(f"{SCHEDULING}/calendly/initiate-booking", body)


def test_initiate_answers_what_the_contract_says(ann: Caller):
    session_type = offer()
    before = timezone.now()
    response = initiate(ann, session_type)
    assert response.status_code == 200
    answer = response.json()
    assert answer.keys() == {"success", "bookingFlowId", "calendlyUrl", "sessionType", "expiresAt"}
    assert answer["success"] is True
    assert re.fullmatch("bf_[0-9A-Z]{26}", answer["bookingFlowId"])
    assert answer["sessionType"] == {
        "id": session_type.id,
        "name": "Consultation",
        "description": "An hour on your plan.",
        "duration": 60,
        "price": 120,
        "currency": "USD",
    }
    assert UTC_TIME.fullmatch(answer["expiresAt"])
    lasts = datetime.fromisoformat(answer["expiresAt"]) - before
    assert timedelta(hours=23, minutes=59) < lasts < timedelta(hours=24, minutes=1)


def test_the_link_carries_the_flow_and_whatever_the_client_wants_to_smuggle_in_stays_a_value(ann: Caller):
    session_type = offer()
    SessionType.objects.update(scheduling_url="https://calendly.com/bo/consultation?hide_gdpr_banner=1#top")
    utm = {"source": "a&utm_content=bf_OTHER&x=1", "medium": "b#c", "campaign": "d\r\nLocation: https://evil"}
    answer = initiate(ann, session_type, utmParams=utm).json()
    url = urlsplit(answer["calendlyUrl"])
    assert (url.scheme, url.netloc, url.path, url.fragment) == ("https", "calendly.com", "/bo/consultation", "")
    assert parse_qs(url.query, strict_parsing=True) == {
        "hide_gdpr_banner": ["1"],
        "utm_source": [utm["source"]],
        "utm_medium": [utm["medium"]],
        "utm_campaign": [utm["campaign"]],
        "utm_content": [answer["bookingFlowId"]],
        "email": ["ann@example.com"],
    }
    assert answer["calendlyUrl"].isprintable()


def test_a_session_type_that_is_unknown_or_off_is_not_found(ann: Caller):
    off = offer()
    SessionType.objects.filter(pk=off.id).update(active=False)
    with nothing_written():
        unknown = initiate(ann, SessionType(id="st_NOBODY", builder_id="bp_NOBODY"))
        assert_refused(unknown, 404)
        assert unknown.json()["error"]["code"] == "NOT_FOUND"
        assert_refused(initiate(ann, off), 404)
        assert_refused(ann.get(f"{SCHEDULING}/session-types/{off.id}"), 404)
    assert ann.get(f"{SCHEDULING}/session-types").json()["results"] == []


def test_a_builder_of_another_session_type_is_refused(ann: Caller):
    session_type, other = offer(), offer()
    with nothing_written():
        assert_refused(initiate(ann, session_type, builderProfileId=other.builder_id), 400)


def test_nobody_but_the_back_end_begins_for_another_client(ann: Caller):
    session_type = offer()
    bob = begun(caller("bob@example.com"), session_type).client
    assert bob
    with nothing_written():
        known = initiate(ann, session_type, clientId=bob.id)
        unknown = initiate(ann, session_type, clientId="cl_NOBODY")
        assert_refused(known, 403)
        assert_refused(unknown, 403)
        assert known.json()["error"]["code"] == unknown.json()["error"]["code"] == "FORBIDDEN"


def test_a_client_may_name_itself(ann: Caller):
    session_type = offer()
    own = begun(ann, session_type).client_id
    flow_id = initiate(ann, session_type, clientId=own).json()["bookingFlowId"]
    assert BookingFlow.objects.get(pk=flow_id).client_id == own


def test_the_back_end_begins_for_a_client_that_was_not_seen_before():
    back_end, session_type = caller("shop@example.com", back_end=True), offer()
    first, second = (initiate(back_end, session_type, clientId="customer:42").json()["bookingFlowId"] for _ in range(2))
    flows = BookingFlow.objects.filter(pk__in=[first, second])
    assert {flow.client_id for flow in flows} == {"customer:42"}
    assert len(flows) == 2


def test_a_refused_request_of_the_back_end_makes_no_client():
    back_end, session_type = caller("shop@example.com", back_end=True), offer()
    with nothing_written():
        assert_refused(initiate(back_end, SessionType(id="st_NO", builder_id="bp_NO"), clientId="customer:42"), 404)
        assert_refused(initiate(back_end, session_type, clientId="customer:42", builderProfileId="bp_NO"), 400)


def test_a_client_with_the_longest_names_that_django_takes_may_begin(ann: Caller):
    assert ann.user
    ann.user.first_name, ann.user.last_name = "A" * 150, "B" * 150
    ann.user.save()
    assert initiate(ann, offer()).status_code == 200
