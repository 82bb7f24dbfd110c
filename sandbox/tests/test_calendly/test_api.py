"""The calls of API v2: answers, lists and refusals as Calendly gives them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
import requests

from sandbox.tests.test_calendly.conftest import BO, CONSULTATION, EVENTS, MIA

SCHEMAS = json.loads((Path(__file__).parent / "fixtures" / "schemas.json").read_text())


def recorded_truth(schemas):
    """Where recordings of the real API differ from the official description, the recordings are right."""
    # No subscription that never failed has a time of its first retry, and only those for one user have a user.
    for key in ("retry_started_at", "user"):
        schemas["WebhookSubscription"]["properties"][key] = {"type": ["string", "null"]}
    # There are more kinds of events by now.
    schemas["WebhookSubscription"]["properties"]["events"]["items"] = {"enum": list(EVENTS)}
    # Today's description of an event type has no `kind_description` any more.
    schemas["EventType"]["required"].remove("kind_description")
    # Zoom's meetings are called otherwise than described, their numbers are numbers, and they have no `extra`.
    zoom = schemas["ZoomConference"]["properties"]
    zoom["type"], zoom["data"] = {"const": "zoom"}, {"type": "object"}
    return schemas


recorded_truth(SCHEMAS["schemas"])


def must_be(name, resource):
    schema = SCHEMAS | {"$ref": f"#/schemas/{name}"}
    jsonschema.Draft202012Validator(schema).validate(resource)


def as_asked(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("event_type", ["intro", "consultation", "code-review", "studio-visit"])
def test_every_answer_is_as_calendlys_own_description_says(calendly, listener, event_type):
    booked = calendly.book(event_type=event_type, tracking={"utm_source": "web"}, answers={})
    path = booked["invitee_uri"].removeprefix(calendly.base)
    mark = calendly.post("/invitee_no_shows", {"invitee": booked["invitee_uri"]}).json()["resource"]
    calendly.post(f"/scheduled_events/{booked['event_id']}/cancellation", {"reason": "ill"})
    subscription = calendly.subscribe(listener.url)
    event_types = calendly.get("/event_types", organization=calendly.organization).json()

    must_be("User", calendly.get("/users/me").json()["resource"])
    must_be("InviteeNoShow", mark)
    must_be("Invitee", calendly.get(path).json()["resource"])
    must_be("Event", calendly.get(f"/scheduled_events/{booked['event_id']}").json()["resource"])
    must_be("WebhookSubscription", subscription)
    must_be("Pagination", event_types["pagination"])
    for each in event_types["collection"]:
        must_be("EventType", each)


def test_a_call_needs_the_right_token(calendly):
    for given in ("", "Bearer wrong", "Basic abc"):
        answer = requests.get(
            f"{calendly.base}/users/me", headers={"Authorization": given, "User-Agent": "tests"}, timeout=5
        )
        assert answer.status_code == 401
        assert answer.json() == {"title": "Unauthenticated", "message": "The access token is invalid"}


def test_a_caller_that_says_only_that_it_is_python_is_shut_out(calendly):
    calendly.session.headers["User-Agent"] = requests.utils.default_user_agent()
    answer = calendly.get("/users/me")
    assert (answer.status_code, answer.text) == (403, "error code: 1010")


def test_uris_begin_with_the_origin_that_was_asked(calendly):
    under_another_name = calendly.base.replace("127.0.0.1", "localhost")
    calendly.base = under_another_name
    me = calendly.get("/users/me").json()["resource"]
    assert me["uri"] == f"{under_another_name}/users/{BO}"
    assert me["current_organization"] == f"{under_another_name}/organizations/SANDBOX"


def test_event_types_are_listed_for_a_user_or_the_organization_and_for_nobody_else(calendly):
    def names(**query):
        return [each["slug"] for each in calendly.get("/event_types", **query).json()["collection"]]

    assert sorted(names(organization=calendly.organization)) == ["code-review", "consultation", "intro", "studio-visit"]
    assert sorted(names(user=f"https://api.calendly.com/users/{MIA}")) == ["code-review", "studio-visit"]
    assert calendly.get("/event_types").status_code == 400
    assert calendly.get("/event_types", organization="https://api.calendly.com/organizations/OTHER").status_code == 403


def test_a_list_comes_in_pages_that_lead_to_one_another(calendly):
    asked = {"organization": calendly.organization, "count": 1, "sort": "name:desc"}
    page, seen = calendly.get("/event_types", **asked).json(), []
    while True:
        seen.append(page)
        if page["pagination"]["next_page"] is None:
            break
        page = calendly.get(page["pagination"]["next_page"].removeprefix(calendly.base)).json()
    names = [each["name"] for page in seen for each in page["collection"]]
    assert names == ["Studio visit", "Free intro call", "Code review", "1:1 Consultation"]
    assert seen[0]["pagination"]["previous_page"] is None
    back = calendly.get("/event_types", **asked, page_token=seen[3]["pagination"]["previous_page_token"]).json()
    assert back == seen[2]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("count", "0"), ("count", "101"), ("count", "x"), ("page_token", "guessed"), ("sort", "uri:asc")],
)
def test_a_wrong_parameter_is_named_in_the_refusal(calendly, parameter, value):
    answer = calendly.get("/scheduled_events", organization=calendly.organization, **{parameter: value})
    assert answer.status_code == 400
    assert answer.json()["title"] == "Invalid Argument"
    assert [each["parameter"] for each in answer.json()["details"]] == [parameter]
    must_be("ErrorResponse", answer.json())


def test_scheduled_events_are_found_by_guest_status_and_time(calendly):
    begin = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    early = calendly.book(email="early@example.com", start_time=begin.isoformat())
    late = calendly.book(email="late@example.com", start_time=(begin + timedelta(days=1)).isoformat())
    calendly.room("cancel", invitee=late["invitee_uri"])

    def found(**query):
        answer = calendly.get("/scheduled_events", organization=calendly.organization, **query).json()
        return [each["uri"] for each in answer["collection"]]

    assert found() == [early["event_uri"], late["event_uri"]]
    assert found(sort="start_time:desc") == [late["event_uri"], early["event_uri"]]
    assert found(invitee_email="late@example.com") == [late["event_uri"]]
    assert found(status="active") == [early["event_uri"]]
    assert found(min_start_time=late["start_time"]) == [late["event_uri"]]
    assert found(max_start_time=early["start_time"]) == [early["event_uri"]]
    assert found(user=f"{calendly.base}/users/{MIA}") == []


def test_an_invitee_is_found_only_under_its_own_event(calendly):
    one, other = calendly.book(), calendly.book()
    listed = calendly.get(f"/scheduled_events/{one['event_id']}/invitees", status="active").json()["collection"]
    assert [each["uri"] for each in listed] == [one["invitee_uri"]]
    assert calendly.get(f"/scheduled_events/{one['event_id']}/invitees/{other['invitee_id']}").status_code == 404
    none = calendly.get(f"/scheduled_events/{one['event_id']}/invitees", email="nobody@example.com").json()
    assert none["collection"] == []


def test_what_is_not_there_is_not_found(calendly):
    for path in ("/users/x", "/event_types/x", "/scheduled_events/x", "/scheduled_events/x/invitees", "/users/x/y"):
        answer = calendly.get(path)
        assert answer.status_code == 404, path
        assert answer.json()["title"] == "Resource Not Found"


def test_cancelling_by_api_is_always_the_hosts_doing_and_happens_once(calendly):
    booked = calendly.book()
    path = f"/scheduled_events/{booked['event_id']}"
    done = calendly.post(f"{path}/cancellation", {"reason": "ill"})
    assert done.status_code == 201
    cancellation = done.json()["resource"]
    assert (cancellation["canceler_type"], cancellation["reason"]) == ("host", "ill")

    event = calendly.get(path).json()["resource"]
    assert event["status"] == "canceled"
    assert event["cancellation"] == cancellation
    assert event["invitees_counter"] == {"total": 1, "active": 0, "limit": 1}

    again = calendly.post(f"{path}/cancellation", {})
    assert (again.status_code, again.json()["message"]) == (403, "Event is already canceled")


def test_what_has_begun_cannot_be_cancelled(calendly):
    begun = calendly.book(start_time=(datetime.now(UTC) - timedelta(minutes=5)).isoformat())
    answer = calendly.post(f"/scheduled_events/{begun['event_id']}/cancellation", {})
    assert (answer.status_code, answer.json()["message"]) == (403, "Event in the past")
    assert calendly.get(f"/scheduled_events/{begun['event_id']}").json()["resource"]["status"] == "active"


def test_a_cancellation_with_a_reason_can_be_refused_as_one_project_saw_it(calendly):
    path = f"/scheduled_events/{calendly.book()['event_id']}/cancellation"
    assert calendly.post(path, {"reason": "x" * 10_001}).status_code == 400
    calendly.room("switches", cancel_reason_refused=True)
    assert calendly.post(path, {"reason": "ill"}).status_code == 400
    assert calendly.post(path, {}).status_code == 201


def test_available_times_leave_out_what_is_taken(calendly):
    event_type = f"{calendly.base}/event_types/{CONSULTATION}"
    now = datetime.now(UTC)
    span = {"start_time": as_asked(now + timedelta(hours=1)), "end_time": as_asked(now + timedelta(days=8))}

    def times():
        answer = calendly.get("/event_type_available_times", event_type=event_type, **span).json()["collection"]
        for each in answer:
            must_be("EventTypeAvailableTime", each)
        return [each["start_time"] for each in answer]

    before = times()
    booked = calendly.book(start_time=before[0])
    after = times()
    # An hour is taken: the start itself and, if that was open, the half hour inside it.
    assert before[0] not in after
    assert set(after) < set(before)
    calendly.room("cancel", invitee=booked["invitee_id"])
    assert times() == before


def test_available_times_are_asked_for_the_future_and_for_31_days_at_most(calendly):
    event_type, now = f"{calendly.base}/event_types/{CONSULTATION}", datetime.now(UTC)
    for days_from, days_to in ((-1, 3), (1, 33), (3, 1)):
        span = {
            "start_time": as_asked(now + timedelta(days=days_from)),
            "end_time": as_asked(now + timedelta(days=days_to)),
        }
        assert calendly.get("/event_type_available_times", event_type=event_type, **span).status_code == 400


def test_a_no_show_is_marked_read_and_taken_back(calendly):
    booked = calendly.book()
    marked = calendly.post("/invitee_no_shows", {"invitee": booked["invitee_uri"]})
    assert marked.status_code == 201
    path = marked.json()["resource"]["uri"].removeprefix(calendly.base)
    assert calendly.get(path).json() == marked.json()
    invitee_path = booked["invitee_uri"].removeprefix(calendly.base)
    assert calendly.get(invitee_path).json()["resource"]["no_show"]["uri"].endswith(path)
    assert calendly.delete(path).status_code == 204
    assert calendly.get(path).status_code == 404
    assert calendly.get(invitee_path).json()["resource"]["no_show"] is None


def test_a_single_use_link_books_once(calendly):
    asked = {"owner": f"{calendly.base}/event_types/{CONSULTATION}", "owner_type": "EventType", "max_event_count": 1}
    made = calendly.post("/scheduling_links", asked)
    assert made.status_code == 201
    path = made.json()["resource"]["booking_url"].removeprefix(calendly.base)
    guest = {"name": "Casey", "email": "casey@example.com"}
    assert calendly.fill_in(path, as_program=True, name="", email="").status_code == 400
    assert calendly.fill_in(f"{path}?utm_content=bf_1", as_program=True, **guest).status_code == 201
    assert calendly.get(path).status_code == 404
    assert calendly.fill_in(path, as_program=True, **guest).status_code == 404


def test_subscriptions_are_made_listed_read_and_ended(calendly, listener):
    made = calendly.subscribe(listener.url)
    path = made["uri"].removeprefix(calendly.base)
    assert made["state"] == "active"
    assert "signing_key" not in made
    scope = {"organization": calendly.organization, "scope": "organization"}
    assert calendly.get("/webhook_subscriptions", **scope).json()["collection"] == [made]
    of_a_user = {"organization": calendly.organization, "scope": "user", "user": f"{calendly.base}/users/{BO}"}
    assert calendly.get("/webhook_subscriptions", **of_a_user).json()["collection"] == []
    assert calendly.get(path).json()["resource"] == made

    twice = calendly.post("/webhook_subscriptions", {"url": listener.url, "events": EVENTS} | scope)
    assert (twice.status_code, twice.json()["message"]) == (409, "Hook with this url already exists")
    assert calendly.delete(path).status_code == 204
    assert calendly.get(path).status_code == 404


def test_a_new_subscription_says_where_it_is(calendly, listener):
    asked = {"url": listener.url, "events": EVENTS, "organization": calendly.organization, "scope": "organization"}
    answer = calendly.post("/webhook_subscriptions", asked)
    assert answer.headers["Location"] == answer.json()["resource"]["uri"]


@pytest.mark.parametrize(
    "lacking",
    [{"organization": None}, {"scope": "user"}, {"scope": "x"}, {"events": []}, {"events": ["x"]}, {"url": "x"}],
)
def test_a_subscription_that_lacks_something_is_refused(calendly, listener, lacking):
    asked = {"url": listener.url, "events": EVENTS, "organization": calendly.organization, "scope": "organization"}
    assert calendly.post("/webhook_subscriptions", asked | lacking).status_code == 400


def test_faults_fail_calls_before_or_after_they_are_done(calendly):
    first, second = calendly.book(), calendly.book()
    calendly.room(
        "faults",
        next=[
            {"method": "GET", "path": "/users/me", "do": "rate_limit"},
            {"method": "POST", "path": "/scheduled_events/*/cancellation", "do": "fail_before"},
            {"method": "POST", "path": "/scheduled_events/*/cancellation", "do": "fail_after"},
        ],
    )
    limited = calendly.get("/users/me")
    assert (limited.status_code, limited.headers["X-RateLimit-Reset"]) == (429, "60")
    assert calendly.get("/users/me").status_code == 200

    for booked, status in ((first, "active"), (second, "canceled")):
        answer = calendly.post(f"/scheduled_events/{booked['event_id']}/cancellation", {})
        assert (answer.status_code, answer.json()["title"]) == (500, "Internal Server Error")
        assert calendly.get(f"/scheduled_events/{booked['event_id']}").json()["resource"]["status"] == status
