"""What a visitor of the pages asked for: the query string that is carried along, and the words of the form."""

import re
from datetime import datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, available_timezones

from flask import request

from sandbox.calendly.people import EventType, Guest, Question
from sandbox.calendly.resources import TRACKING_KEYS, moment

TIMEZONES = available_timezones()
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class Unclear(Exception):
    """Something in the form is missing or wrong: field names and what is wrong with them."""

    def __init__(self, wrong: dict[str, str]) -> None:
        super().__init__(str(wrong))
        self.wrong = wrong


def wants_json() -> bool:
    """Whether a program asks: the pages also answer `curl -H 'Accept: application/json'`."""
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def carried(path: str, **changes: str | None) -> str:
    """A link to `path` with the query string of this page, some of it changed."""
    query = {**request.args.to_dict(), **changes}
    kept = urlencode({key: value for key, value in query.items() if value is not None})
    return f"{path}?{kept}" if kept else path


def embedded() -> bool:
    """Whether the page is shown inside another one, which then wants to be told."""
    return "embed_domain" in request.args or "embed_type" in request.args


def said(key: str) -> str:
    """A field of the form, or what the link prefills it with."""
    value = request.form.get(key, request.args.get(key, ""))
    if key == "name" and not value:
        value = f"{request.args.get('first_name', '')} {request.args.get('last_name', '')}"
    return value.strip()


def answer_to(question: Question, position: int) -> str:
    """The answer in `a1`, `a2` and so on. A link may name a choice by its number."""
    answer = said(f"a{position + 1}")
    if question.choices and answer.isdecimal() and 1 <= int(answer) <= len(question.choices):
        return question.choices[int(answer) - 1]
    return answer


def zone_or(default: str) -> ZoneInfo:
    """The time zone that the visitor chose."""
    name = said("timezone")
    return ZoneInfo(name if name in TIMEZONES else default)


def asked_start(text: str) -> datetime | None:
    """A start in ISO 8601; None if it is none."""
    try:
        return moment(text)
    except ValueError:
        return None


def guest(kind: EventType) -> Guest:
    """Who books. Raises Unclear."""
    wrong = {}
    if not said("name"):
        wrong["name"] = "Please enter your name."
    if not EMAIL.fullmatch(said("email")):
        wrong["email"] = "Please enter a valid e-mail address."
    if wrong:
        raise Unclear(wrong)
    return Guest(
        said("name"),
        said("email"),
        zone_or(kind.host.timezone).key,
        said("text_reminder_number"),
        tuple((question.name, answer_to(question, position)) for position, question in enumerate(kind.questions)),
        {key: request.args[key] for key in TRACKING_KEYS if key in request.args},
    )
