"""The organization that the sandbox ships with: its hosts and their event types, under ids that never change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import Any

ORGANIZATION = "SANDBOX"
# When all of it was made. A fixed moment, so that two runs show the same.
FOUNDED = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Host:
    """A Calendly user. Working hours are Monday to Friday, in the host's own time zone."""

    id: str
    name: str
    slug: str
    email: str
    timezone: str
    opens: time
    closes: time


@dataclass(frozen=True, slots=True)
class Question:
    """What the booking form asks. `choices` makes it a single choice, otherwise the answer is free text."""

    name: str
    choices: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        return "single_select" if self.choices else "text"


@dataclass(frozen=True, slots=True)
class EventType:
    """What can be booked with one host, one guest at a time. `location` is as in a scheduled event, without links."""

    id: str
    host: Host
    name: str
    slug: str
    minutes: int
    description: str
    color: str
    location: dict[str, Any]
    questions: tuple[Question, ...]

    @property
    def path(self) -> str:
        """Where its scheduling page is."""
        return f"/{self.host.slug}/{self.slug}"


@dataclass(frozen=True, slots=True)
class Guest:
    """Who books, in the words of the form. `answers` are pairs of question and answer, in the order of the form.

    Of `tracking` only Calendly's six keys are kept.
    """

    name: str
    email: str
    timezone: str
    phone: str = ""
    answers: tuple[tuple[str, str], ...] = ()
    tracking: Mapping[str, str] = field(default_factory=dict)


BO = Host(
    "00000000-0000-4000-8000-0000000000a1",
    "Bo Builder",
    "bo-builder",
    "bo@builders.example",
    "Europe/Berlin",
    time(9),
    time(17),
)
MIA = Host(
    "00000000-0000-4000-8000-0000000000a2",
    "Mia Maker",
    "mia-maker",
    "mia@builders.example",
    "America/New_York",
    time(10),
    time(18),
)
HOSTS = {host.id: host for host in (BO, MIA)}
# The access token belongs to Bo, who owns the organization.
ME = BO

PREPARE = Question("Please share anything that will help prepare for our meeting.")

EVENT_TYPES = {
    event_type.id: event_type
    for event_type in (
        EventType(
            "00000000-0000-4000-8000-000000000e15",
            BO,
            "Free intro call",
            "intro",
            15,
            "A short call to find out whether we fit.",
            "#0dc23d",
            {"type": "inbound_call", "location": "+49 30 901820", "additional_info": None},
            (PREPARE,),
        ),
        EventType(
            "00000000-0000-4000-8000-000000000e60",
            BO,
            "1:1 Consultation",
            "consultation",
            60,
            "An hour on your plans, with notes afterwards.",
            "#006bff",
            {"type": "google_conference"},
            (PREPARE, Question("What is it about?", ("Architecture", "Hiring", "Something else"))),
        ),
        EventType(
            "00000000-0000-4000-8000-000000000e30",
            MIA,
            "Code review",
            "code-review",
            30,
            "Half an hour on one pull request.",
            "#8247f5",
            {"type": "zoom"},
            (PREPARE,),
        ),
        EventType(
            "00000000-0000-4000-8000-000000000e45",
            MIA,
            "Studio visit",
            "studio-visit",
            45,
            "Come by and see how we work.",
            "#e55cff",
            {"type": "physical", "location": "12 Main Street", "additional_info": "Ring twice."},
            (PREPARE,),
        ),
    )
}


def host_by_slug(slug: str) -> Host | None:
    return next((host for host in HOSTS.values() if host.slug == slug), None)


def event_type_at(path: str) -> EventType | None:
    """The event type whose scheduling page is at this path."""
    return next((each for each in EVENT_TYPES.values() if each.path == path), None)
