"""Whatever JSON is said to come from Calendly: it becomes a record that can be stored, or one of three named errors."""

import copy
import json
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bookings.invitees import (
    NotAnInvitee,
    RetiredShape,
    UnknownShape,
    event_and_invitee_ids,
    id_of,
    parse_invitee,
    parse_scheduled_event,
    parse_webhook,
)

FIXTURES = Path(__file__).parent / "fixtures" / "calendly"
API = "https://api.calendly.com"
INVITEE_ID = "00000000-0000-4000-8000-000000000102"


def payload(path: str):
    return json.loads((FIXTURES / path).read_bytes())


WRONG = {
    "no payload": lambda body: body.pop("payload"),
    "payload is a list": lambda body: body.update(payload=[]),
    "no name": lambda body: body.pop("event"),
    "unknown name": lambda body: body.update(event="something.created"),
    "name is a number": lambda body: body.update(event=7),
    "no uri": lambda body: body["payload"].pop("uri"),
    "uri is a number": lambda body: body["payload"].update(uri=7),
    "uri of an event": lambda body: body["payload"].update(uri=f"{API}/scheduled_events/A1"),
    "uri with an id of 65 characters": lambda body: body["payload"].update(
        uri=f"{API}/scheduled_events/A1/invitees/{'a' * 65}"
    ),
    "uri too long to be stored": lambda body: body["payload"].update(
        uri=f"https://{'a' * 250}.com/scheduled_events/A1/invitees/B2"
    ),
    "uri with NUL": lambda body: body["payload"].update(uri=f"{API}/scheduled_events/A1/invitees/B\x002"),
    "old invitee is not one": lambda body: body["payload"].update(old_invitee=f"{API}/users/A1"),
    "name of a person is a list": lambda body: body["payload"].update(name=[]),
    "status is a number": lambda body: body["payload"].update(status=1),
    "rescheduled is a text": lambda body: body["payload"].update(rescheduled="false"),
    "rescheduled is a number": lambda body: body["payload"].update(rescheduled=0),
    "answers are an object": lambda body: body["payload"].update(questions_and_answers={}),
    "an answer is a text": lambda body: body["payload"].update(questions_and_answers=["Yes"]),
    "tracking is a list": lambda body: body["payload"].update(tracking=[]),
    "tracking holds a number": lambda body: body["payload"]["tracking"].update(utm_content=5),
    "event is a list": lambda body: body["payload"].update(scheduled_event=[]),
    "event has no uri": lambda body: body["payload"]["scheduled_event"].pop("uri"),
    "event type has no id": lambda body: body["payload"]["scheduled_event"].update(event_type="https://calendly.com"),
    "location is a text": lambda body: body["payload"]["scheduled_event"].update(location="Main Street"),
    "counter is a truth": lambda body: body["payload"]["scheduled_event"].update(invitees_counter={"active": True}),
    "counter is huge": lambda body: body["payload"]["scheduled_event"].update(invitees_counter={"active": 2**31}),
    "counter is negative": lambda body: body["payload"]["scheduled_event"].update(invitees_counter={"active": -1}),
    "ends before it starts": lambda body: body["payload"]["scheduled_event"].update(
        end_time="2026-12-01T14:59:59.000000Z"
    ),
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG)
def test_wrong_types_are_an_unknown_shape(spoil):
    body = payload("webhooks/written/flow_1_invitee.created.json")
    spoil(body)
    with pytest.raises(UnknownShape):
        parse_webhook(body)


@pytest.mark.parametrize(
    "time",
    [
        "yesterday",
        "",
        "2026-12-01",
        "2026-12-01T15:00:00",  # of which zone?
        "2026-13-01T15:00:00Z",
        "2026-12-01T15:00:00+25:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        "1999-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        1795000000,
    ],
)
def test_absurd_times_are_an_unknown_shape(time):
    resource = payload("webhooks/written/flow_1_invitee.created.json")["payload"]["scheduled_event"]
    with pytest.raises(UnknownShape):
        parse_scheduled_event(resource | {"start_time": time})


def test_times_come_out_in_utc():
    resource = payload("webhooks/written/flow_1_invitee.created.json")["payload"]["scheduled_event"]
    start = parse_scheduled_event(resource | {"start_time": "2026-12-01T16:30:00+05:30"}).start
    assert start is not None
    assert start.isoformat() == "2026-12-01T11:00:00+00:00"


def test_errors_name_the_field_and_keep_what_it_holds_to_themselves():
    resource = payload("webhooks/written/flow_1_invitee.created.json")["payload"]
    with pytest.raises(UnknownShape, match=r"^invitee\.timezone is not text$"):
        parse_invitee(resource | {"timezone": ["client@example.com"]})


NOT_AN_INVITEES_ADDRESS = [
    "",
    "B2",
    "/scheduled_events/A1/invitees/B2",
    "ftp://api.calendly.com/scheduled_events/A1/invitees/B2",
    "https:///scheduled_events/A1/invitees/B2",
    "https://api.calendly.com/scheduled_events/A1",
    "https://api.calendly.com/scheduled_events/A1/invitees",
    "https://api.calendly.com/scheduled_events/A1/invitees/",
    "https://api.calendly.com/scheduled_events/A1/invitees/B2/",
    "https://api.calendly.com/scheduled_events/A1/invitees/B2?x=1",
    "https://api.calendly.com/scheduled_events/A1/invitees/B2#x",
    "https://api.calendly.com/scheduled_events/A1/invitees/B2\n",
    "https://api.calendly.com/scheduled_events/../invitees/B2",
    "https://api.calendly.com/scheduled_events/A1/../invitees/B2",
    "https://api.calendly.com/scheduled_events/A1/invitees/..%2fB2",
    "https://api.calendly.com/scheduled_events/A1%2finvitees/B2",
    "https://api.calendly.com/scheduled_events//invitees/B2",
    "https://api.calendly.com/v2/scheduled_events/A1/invitees/B2",
    "https://api.calendly.com/scheduled_events/A1/invitees/Bé",
    "https://api.calendly.com/scheduled_events/A1/invitees/" + "b" * 65,
    "https://somebody@evil.example/scheduled_events/A1/invitees/B2",
    "https://api.calendly.com\\@evil.example/scheduled_events/A1/invitees/B2",
    "https://evil.example/?/scheduled_events/A1/invitees/B2",
    "https://[::1]/scheduled_events/A1/invitees/B2",
    "https://api.calendly.com:port/scheduled_events/A1/invitees/B2",
    " https://api.calendly.com/scheduled_events/A1/invitees/B2",
]


@pytest.mark.parametrize("uri", NOT_AN_INVITEES_ADDRESS)
def test_what_is_not_the_address_of_an_invitee_has_no_ids(uri):
    with pytest.raises(ValueError, match="not the address"):
        event_and_invitee_ids(uri)


@pytest.mark.parametrize("host", ["https://api.calendly.com", "https://calendly.com", "http://127.0.0.1:8002"])
def test_ids_are_read_whatever_the_host(host):
    uri = f"{host}/scheduled_events/A-1_z/invitees/{INVITEE_ID}"
    assert event_and_invitee_ids(uri) == ("A-1_z", INVITEE_ID)
    assert id_of(uri) == INVITEE_ID


@pytest.mark.parametrize(
    "uri",
    ["", "A1", "https://calendly.com", "https://calendly.com/"]
    + [f"{API}/users/{end}" for end in ("A1/", "A1?x", "A1#x", "A1\n", "..", "a%2fb", "a" * 65)],
)
def test_an_address_without_a_proper_last_segment_has_no_id(uri):
    with pytest.raises(UnknownShape):
        id_of(uri)


TEXTS = st.text(st.characters(codec=None), max_size=30)  # NUL and lone surrogates included
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
BODIES = [json.loads(path.read_bytes()) for path in sorted((FIXTURES / "webhooks").rglob("*.json"))]


def places(value, path=()):
    """The path of every value in a JSON document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@st.composite
def spoiled_bodies(draw):
    """A real body in which a few values were exchanged, some for values from elsewhere in it, or removed."""
    body = copy.deepcopy(draw(st.sampled_from(BODIES)))
    for _ in range(draw(st.integers(1, 3))):
        *paths, _ = reversed(list(places(body)))  # all but that of the body itself
        if not paths:
            break
        path = draw(st.sampled_from(paths))
        parent = body
        for key in path[:-1]:
            parent = parent[key]
        if draw(st.booleans()):
            del parent[path[-1]]
        else:
            parent[path[-1]] = draw(
                JSON | st.sampled_from(list(parent.values() if isinstance(parent, dict) else parent))
            )
    return body


def assert_fit_to_be_stored(value):
    if isinstance(value, str):
        assert "\x00" not in value
        assert len(value.encode()) <= 4 * 10_000
    elif isinstance(value, datetime):
        assert value.tzinfo is UTC
        assert 2000 <= value.year < 2200
    elif isinstance(value, dict):
        for key, inner in value.items():
            assert_fit_to_be_stored(key)
            assert_fit_to_be_stored(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            assert_fit_to_be_stored(inner)
    else:
        assert value is None or isinstance(value, bool) or 0 <= value < 2**31


@settings(max_examples=500, deadline=None)
@given(spoiled_bodies() | JSON | st.fixed_dictionaries({"event": TEXTS, "payload": JSON}))
def test_whatever_is_sent_becomes_a_record_or_a_named_error(body):
    try:
        news = parse_webhook(body)
    except (UnknownShape, RetiredShape, NotAnInvitee):
        return
    assert_fit_to_be_stored(asdict(news))
    assert id_of(news.invitee.uri) == news.invitee.invitee_id


@settings(max_examples=200, deadline=None)
@given(spoiled_bodies())
def test_whatever_the_api_answers_becomes_a_record_or_an_unknown_shape(body):
    invitee: Any = body.get("payload")
    event: Any = invitee.get("scheduled_event") if isinstance(invitee, dict) else invitee
    with suppress(UnknownShape):
        assert_fit_to_be_stored(asdict(parse_invitee(invitee)))
    with suppress(UnknownShape):
        assert_fit_to_be_stored(asdict(parse_scheduled_event(event)))
