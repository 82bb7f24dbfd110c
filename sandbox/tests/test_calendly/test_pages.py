"""The scheduling pages, clicked through as a browser without JavaScript does, and asked by a program."""

import html
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from sandbox.tests.test_calendly.conftest import CONSULTATION

PAGE = "/bo-builder/consultation"
GUEST = {"name": "Casey Client", "email": "casey@example.com"}


def links(page):
    return [html.unescape(href) for href in re.findall(r'<a href="([^"]*)"', page.text)]


def slot_links(page):
    return [link for link in links(page) if re.search(r"/20\d\d-\d\d-\d\dT", link)]


def fields(page):
    """What the form would send if its button was pressed now: its address and its fields."""
    form = re.search(r'<form method="post"( action="([^"]*)")?>(.*?)</form>', page.text, re.DOTALL)
    assert form, page.text
    values = {}
    for tag in re.findall(r"<input [^>]*>", form[3]):
        attributes = {key: html.unescape(value) for key, value in re.findall(r'([\w-]+)="([^"]*)"', tag)}
        if attributes["name"] and ("radio" not in tag or "checked" in tag):
            values[attributes["name"]] = attributes["value"]
    for name, text in re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>([^<]*)', form[3]):
        values[name] = html.unescape(text)
    return html.unescape(form[2] or urlsplit(page.url).path), values


def found(pattern, text):
    match = re.search(pattern, text)
    assert match, text
    return match[1]


def parse_start(link):
    return found(r"/(20[^/?]*Z)", link)


def the_invitee(calendly):
    invitees = calendly.room_ledger()["invitees"]
    assert len(invitees) == 1
    return invitees[0]


def test_a_person_clicks_through_to_a_confirmed_booking(calendly):
    link = f"{PAGE}?utm_content=bf_1&utm_source=web&booking_flow_id=bf_2&name=Casey&a1=Roadmap&a2=2"
    hosts = calendly.get("/bo-builder")
    assert PAGE in links(hosts)
    times = calendly.get(link)
    form = calendly.get(slot_links(times)[0])
    action, said = fields(form)
    assert (said["name"], said["a1"], said["a2"]) == ("Casey", "Roadmap", "Hiring")

    confirmation = calendly.fill_in(action, **(said | {"email": "casey@example.com", "text_reminder_number": "+49 1"}))
    assert confirmation.status_code == 200
    assert "You are scheduled" in confirmation.text

    invitee = the_invitee(calendly)
    assert (invitee["name"], invitee["email"], invitee["timezone"]) == ("Casey", "casey@example.com", "Europe/Berlin")
    assert invitee["text_reminder_number"] == "+49 1"
    assert [(each["answer"], each["position"]) for each in invitee["questions_and_answers"]] == [
        ("Roadmap", 0),
        ("Hiring", 1),
    ]
    assert {key: value for key, value in invitee["tracking"].items() if value} == {
        "utm_content": "bf_1",
        "utm_source": "web",
    }
    assert urlsplit(invitee["cancel_url"]).path in links(confirmation)
    assert urlsplit(invitee["reschedule_url"]).path in links(confirmation)


def test_the_query_string_is_carried_through_all_links(calendly):
    query = "utm_content=bf_1&embed_type=Inline"
    page = calendly.get(f"{PAGE}?{query}")
    for link in [each for each in links(page) if each.startswith(PAGE)]:
        assert parse_qs(urlsplit(link).query)["utm_content"] == ["bf_1"], link
    action, _ = fields(calendly.get(slot_links(page)[0]))
    assert action == f"{PAGE}?{query}"


def test_first_and_last_name_fill_in_the_name(calendly):
    page = calendly.get(f"{PAGE}?first_name=Casey&last_name=Client")
    assert fields(calendly.get(slot_links(page)[0]))[1]["name"] == "Casey Client"


def test_what_a_link_prefills_cannot_break_out_of_the_page(calendly):
    page = calendly.get(f"{PAGE}/2030-01-01T10:00:00Z", name='"><script>alert(1)</script>', a1="</textarea><script>")
    assert "<script>" not in page.text


def test_dates_and_months_are_chosen_by_link(calendly):
    month = f"{datetime.now(UTC) + timedelta(days=40):%Y-%m}"
    of_month = calendly.get(PAGE, month=month)
    days = [link for link in links(of_month) if f"date={month}" in link]
    assert days
    of_day = calendly.get(days[-1])
    day = parse_qs(urlsplit(days[-1]).query)["date"][0]
    assert slot_links(of_day)
    assert all(f"/{day}T" in link for link in slot_links(of_day))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Tokyo", "America/Los_Angeles"])
def test_times_are_shown_in_the_time_zone_of_the_guest(calendly, zone):
    page = calendly.get(PAGE, timezone=zone)
    shown = re.findall(r"/(20\d\d-\d\d-\d\dT[\d:]+Z)[^>]*>(\d\d:\d\d)</a>", page.text)
    assert shown
    for start, time in shown:
        assert datetime.fromisoformat(start).astimezone(ZoneInfo(zone)).strftime("%H:%M") == time
    assert fields(calendly.get(slot_links(page)[0]))[1]["timezone"] == zone


def test_a_taken_slot_is_shown_as_gone_and_cannot_be_booked(calendly):
    first = slot_links(calendly.get(PAGE))[0]
    action, said = fields(calendly.get(first))
    assert calendly.fill_in(action, **(said | GUEST)).status_code == 200
    again = calendly.fill_in(action, **(said | GUEST))
    assert again.status_code == 409
    assert "no longer available" in again.text
    assert len(calendly.room_ledger()["invitees"]) == 1
    date = parse_start(first)[:10]
    of_day = calendly.get(PAGE, date=date)
    assert first.split("?")[0] not in "".join(slot_links(of_day))
    assert 'class="taken"' in of_day.text


def test_two_guests_at_once_cannot_have_one_slot(calendly):
    start = parse_start(slot_links(calendly.get(PAGE))[0])
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda _: calendly.fill_in(PAGE, as_program=True, start_time=start, **GUEST), range(8))
        )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


@pytest.mark.parametrize(("wrong", "field"), [({"name": " "}, "name"), ({"email": "casey"}, "email")])
def test_an_unclear_form_is_shown_again_with_what_is_wrong(calendly, wrong, field):
    action, said = fields(calendly.get(slot_links(calendly.get(PAGE))[0]))
    answer = calendly.fill_in(action, **(said | GUEST | {"a1": "Roadmap"} | wrong))
    assert answer.status_code == 400
    assert f'id="{field}-wrong"' in answer.text
    assert fields(answer)[1]["a1"] == "Roadmap"
    assert fields(answer)[1]["start_time"] == said["start_time"]
    assert calendly.fill_in(PAGE, as_program=True, **(GUEST | wrong)).json()["errors"].keys() == {field}
    assert calendly.room_ledger()["invitees"] == []


def test_a_program_books_the_first_free_slot_with_a_name_and_an_address(calendly):
    first = parse_start(slot_links(calendly.get(PAGE))[0])
    answer = calendly.fill_in(f"{PAGE}?utm_content=bf_1", as_program=True, **GUEST)
    assert answer.status_code == 201
    booked = answer.json()
    invitee = the_invitee(calendly)
    assert (booked["invitee_uri"], booked["event_uri"]) == (invitee["uri"], invitee["event"])
    assert invitee["tracking"]["utm_content"] == "bf_1"
    assert booked["start_time"].startswith(first.removesuffix("Z"))
    chosen = parse_start(slot_links(calendly.get(PAGE))[-1])
    second = calendly.fill_in(PAGE, as_program=True, start_time=chosen, **GUEST).json()
    assert second["start_time"].startswith(chosen.removesuffix("Z"))


@pytest.mark.parametrize("start", ["2030-01-01T03:00:00Z", "2020-01-06T10:00:00Z", "2099-01-06T10:00:00Z"])
def test_nobody_is_booked_outside_hours_in_the_past_or_in_years_to_come(calendly, start):
    assert calendly.fill_in(PAGE, as_program=True, start_time=start, **GUEST).status_code == 409


def test_nonsense_leads_to_a_page_that_says_so(calendly):
    for path in (
        "/nobody",
        "/bo-builder/nothing",
        f"{PAGE}/tomorrow",
        f"{PAGE}/9999-12-31T23:59:59Z",
        f"{PAGE}/0001-01-01T00:00:00+14:00",
        f"{PAGE}/invitees/x",
        "/cancellations/x",
        "/d/x/y",
    ):
        answer = calendly.get(path)
        assert answer.status_code == 404, path
        assert "<h1>" in answer.text


def test_an_embedded_confirmation_tells_the_page_around_it(calendly):
    answer = calendly.fill_in(f"{PAGE}?embed_domain=shop.example&embed_type=Inline", **GUEST)
    message = json.loads(found(r"postMessage\((\{.*\}), \"\*\"\)", answer.text))
    invitee = the_invitee(calendly)
    assert message == {
        "event": "calendly.event_scheduled",
        "payload": {"event": {"uri": invitee["event"]}, "invitee": {"uri": invitee["uri"]}},
    }


def test_a_confirmation_that_is_not_embedded_tells_nobody(calendly):
    assert "postMessage" not in calendly.fill_in(PAGE, **GUEST).text


def test_a_guest_cancels_with_the_link_once(calendly):
    path = urlsplit(calendly.book()["cancel_url"]).path
    action, said = fields(calendly.get(path))
    done = calendly.fill_in(action, **(said | {"reason": "ill"}))
    assert "This event is canceled" in done.text
    invitee = the_invitee(calendly)
    assert invitee["status"] == "canceled"
    assert invitee["cancellation"]["canceler_type"] == "invitee"
    assert (invitee["cancellation"]["canceled_by"], invitee["cancellation"]["reason"]) == ("Casey Client", "ill")
    assert calendly.fill_in(path).status_code == 403
    assert "<form" not in calendly.get(path).text


def test_a_guest_reschedules_with_the_link(calendly):
    booked = calendly.book(tracking={"utm_content": "bf_1"})
    path = urlsplit(booked["reschedule_url"]).path
    times = calendly.get(path)
    assert f"{booked['start_time'][:19]}Z" not in "".join(slot_links(times))
    action, said = fields(calendly.get(slot_links(times)[0]))
    done = calendly.fill_in(f"{action}?embed_type=Inline", **(said | {"reason": "Moved"}))
    assert "You are scheduled" in done.text
    assert "postMessage" not in done.text

    old, new = calendly.room_ledger()["invitees"]
    assert (old["status"], new["status"]) == ("canceled", "active")
    assert (old["new_invitee"], new["old_invitee"]) == (new["uri"], old["uri"])
    assert new["event"] != old["event"]
    assert new["tracking"]["utm_content"] == "bf_1"
    event = calendly.get(urlsplit(new["event"]).path).json()["resource"]
    assert event["start_time"] == said["start_time"]
    assert event["event_type"].endswith(CONSULTATION)
    assert "This event was rescheduled" in calendly.get(path).text


def test_what_has_begun_is_neither_cancelled_nor_moved_by_link(calendly):
    begun = calendly.book(start_time=(datetime.now(UTC) - timedelta(minutes=5)).isoformat())
    for link in (begun["cancel_url"], begun["reschedule_url"]):
        path = urlsplit(link).path
        assert "This event is in the past" in calendly.get(path).text
        answer = calendly.fill_in(path, as_program=True, start_time="2030-01-01T10:00:00Z")
        assert (answer.status_code, answer.json()["errors"]) == (403, {"event": "Event in the past"})
