"""What each payload in `fixtures/calendly/webhooks` means, written down by hand from reading it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bookings.invitees import CalendlyNews, Cancellation, Invitee, ScheduledEvent

API = "https://api.calendly.com"
FLOW_ID = "bf_01JD3Z8Q4W7N6T2K9R5M1XHC0V"
UTM = {"utm_campaign": "spring", "utm_source": "website", "utm_medium": "builder_profile"}


def at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)


def own(number: int) -> str:
    """The ids of the payloads that were written for this project."""
    return f"00000000-0000-4000-8000-{number:012}"


def meet(event_id: str) -> dict[str, str]:
    return {"type": "google_conference", "join_url": f"https://calendly.com/events/{event_id}/google_meet"}


def with_event(invitee: Invitee, **changes) -> Invitee:
    """The same invitee, with other particulars of the scheduled event."""
    assert invitee.scheduled_event
    return replace(invitee, scheduled_event=replace(invitee.scheduled_event, **changes))


def moved(invitee: Invitee, to_event: str, to_invitee: str, **event_changes) -> Invitee:
    """The same invitee under other ids, with other particulars of the scheduled event."""
    event_uri = f"{API}/scheduled_events/{to_event}"
    return replace(
        with_event(invitee, event_id=to_event, uri=event_uri, **event_changes),
        event_id=to_event,
        invitee_id=to_invitee,
        event_uri=event_uri,
        uri=f"{event_uri}/invitees/{to_invitee}",
    )


# The other records are told as what differs from this one.
BOOKED = Invitee(
    invitee_id=own(102),
    event_id=own(101),
    uri=f"{API}/scheduled_events/{own(101)}/invitees/{own(102)}",
    event_uri=f"{API}/scheduled_events/{own(101)}",
    name="Casey Client",
    email="client@example.com",
    timezone="Europe/Berlin",
    phone="",
    answers=(("Please share anything that will help prepare for our meeting.", "Prepare the roadmap"),),
    created_at=at("2026-11-23 10:00:00.123456"),
    cancellation=None,
    rescheduled=False,
    old_invitee_id=None,
    new_invitee_id=None,
    old_event_id=None,
    new_event_id=None,
    tracking=UTM | {"utm_content": FLOW_ID},
    flow_id=FLOW_ID,
    no_show=None,
    scheduled_event=ScheduledEvent(
        event_id=own(101),
        uri=f"{API}/scheduled_events/{own(101)}",
        name="1:1 Consultation",
        event_type_id=own(2),
        event_type_uri=f"{API}/event_types/{own(2)}",
        start=at("2026-12-01 15:00:00.0"),
        end=at("2026-12-01 16:00:00.0"),
        cancelled=False,
        cancellation=None,
        location=meet(own(101)),
        active_invitees=1,
    ),
)


def booked(
    number: int, created_at: str, start: str, end: str, event: dict[str, Any] | None = None, **changes
) -> Invitee:
    """As BOOKED, with the ids `number` and `number + 1` and at another time."""
    event = {"start": at(start), "end": at(end), "location": meet(own(number))} | (event or {})
    return replace(moved(BOOKED, own(number), own(number + 1), **event), created_at=at(created_at), **changes)


SUCCESSOR = booked(
    103,
    "2026-11-24 08:30:00.100000",
    "2026-12-02 15:00:00.0",
    "2026-12-02 16:00:00.0",
    old_event_id=own(101),
    old_invitee_id=own(102),
)
MOVED_ON = Cancellation(at("2026-11-24 08:30:00.200000"), "Casey Client", "invitee", "Moved to Wednesday")
HOST_CANCELLED = Cancellation(at("2026-11-25 09:00:00.500000"), "Bo Builder", "host", "")
GUEST_CANCELLED = Cancellation(at("2026-11-23 12:00:00.500000"), "Casey Client", "invitee", "")

# The contract's shapes know no event type, no counter, no time of booking or of cancellation.
PLACE = {"type": "physical", "location": "12 Main Street"}
CONTRACT = replace(
    with_event(BOOKED, event_type_id=None, event_type_uri=None, active_invitees=None, location=PLACE),
    created_at=None,
    answers=(("What is your goal?", "Prepare the roadmap"),),
    tracking=UTM | {"booking_flow_id": FLOW_ID},
)
CONTRACT_CANCELLED = Cancellation(None, "Casey Client", "", "Meeting conflict")
CONTRACT_MOVED_ON = Cancellation(None, "Casey Client", "", "Moved")

# The reference lets the invitee's event and the event inside differ. Recordings do not.
DOCUMENTED = replace(
    moved(
        BOOKED,
        "GBGBDCAADAEDCRZ2",
        "",
        name="15 Minute Meeting",
        event_type_id="GBGBDCAADAEDCRZ2",
        event_type_uri=f"{API}/event_types/GBGBDCAADAEDCRZ2",
        start=at("2019-08-24 14:15:22.123456"),
        end=at("2019-08-24 14:15:22.123456"),
        location={"type": "physical", "location": "string"},
        active_invitees=0,
    ),
    invitee_id="AAAAAAAAAAAAAAAA",
    event_id="AAAAAAAAAAAAAAAA",
    uri=f"{API}/scheduled_events/AAAAAAAAAAAAAAAA/invitees/AAAAAAAAAAAAAAAA",
    event_uri=f"{API}/scheduled_events/AAAAAAAAAAAAAAAA",
    name="John Doe",
    email="test@example.com",
    timezone="America/New_York",
    answers=(),
    created_at=at("2020-11-23 17:51:18.327602"),
    tracking={},
    flow_id=None,
)
DOCUMENTED_CANCELLATION = Cancellation(at("2020-11-23 17:54:22.356897"), "John Doe", "invitee", "Meeting Conflict")
# All placeholders: `http://example.com` names no other invitee, and an active invitee is not cancelled.
SAMPLE = replace(
    with_event(
        DOCUMENTED,
        start=at("2019-08-24 14:15:22.0"),
        end=at("2019-08-24 14:15:22.0"),
        location={"type": "physical", "location": "Calendly Office"},
    ),
    uri="https://calendly.com/scheduled_events/AAAAAAAAAAAAAAAA/invitees/AAAAAAAAAAAAAAAA",
    timezone="string",
    phone="+1 404-555-1234",
    answers=(("string", "string"),),
    created_at=at("2019-01-02 03:04:05.678123"),
    rescheduled=True,
    tracking=dict.fromkeys(
        ("utm_campaign", "utm_source", "utm_medium", "utm_content", "utm_term", "salesforce_uuid"), "string"
    ),
)

RECORDED_2020 = replace(
    DOCUMENTED,
    invitee_id="BBBBBBBBBBBBBBBB",
    uri=f"{API}/scheduled_events/AAAAAAAAAAAAAAAA/invitees/BBBBBBBBBBBBBBBB",
    name="Test Invitee",
    email="invitee@example.com",
    created_at=at("2020-12-22 18:15:55.361675"),
    scheduled_event=None,
)
RECORDED_2025 = booked(
    11,
    "2025-05-12 21:17:12.421314",
    "2025-05-14 15:30:00.0",
    "2025-05-14 16:00:00.0",
    event={"name": "30 Minute Meeting"},
    name="Test Invitee",
    email="invitee@example.com",
    timezone="America/Denver",
    answers=(
        ("What is your current monthly revenue?", "$10K - $30K"),
        ("Are you the decision-maker for hiring external help?", "Yes"),
    ),
    tracking={"utm_campaign": "cta_click", "utm_source": "header-top-right", "utm_medium": "website"},
    flow_id=None,
)
RECORDED_2026 = replace(
    moved(
        BOOKED,
        "00000000-0000-0000-0000-000000000002",
        "00000000-0000-0000-0000-000000000001",
        name="Acme - Intro",
        event_type_id="00000000-0000-0000-0000-0000000000e1",
        event_type_uri=f"{API}/event_types/00000000-0000-0000-0000-0000000000e1",
        start=at("2026-06-10 06:30:00.0"),
        end=at("2026-06-10 07:00:00.0"),
        location={"type": "zoom", "join_url": "https://us05web.zoom.us/j/10000000001?pwd=REDACTED"},
    ),
    name="John Doe",
    email="john.doe@example.com",
    timezone="America/Los_Angeles",
    answers=(),
    created_at=at("2026-06-09 21:37:17.731525"),
    tracking={},
    flow_id=None,
)


def news(name: str, occurred_at: str, invitee: Invitee, shape: str = "v2") -> CalendlyNews:
    return CalendlyNews(name, at(occurred_at), shape, invitee)


def created(occurred_at: str, invitee: Invitee) -> CalendlyNews:
    return news("invitee.created", occurred_at, invitee)


def canceled(occurred_at: str, invitee: Invitee, cancellation: Cancellation, **changes) -> CalendlyNews:
    return news("invitee.canceled", occurred_at, replace(invitee, cancellation=cancellation, **changes))


def contract(name: str, invitee: Invitee, **changes) -> CalendlyNews:
    return news(name, "2026-11-23 10:00:01.0", replace(invitee, **changes), "contract")


EXPECTED_NEWS = {
    "recorded/2020-12_invitee.created_minimal-old-shape": created("2020-12-22 18:15:56.0", RECORDED_2020),
    "recorded/2020-12_invitee.canceled_minimal-old-shape": canceled(
        "2020-12-22 18:16:59.0", RECORDED_2020, Cancellation(None, "", "", ""), name=""
    ),
    "recorded/2025-05_invitee.created_google-meet_with-utm": created("2025-05-12 21:17:13.0", RECORDED_2025),
    "recorded/2026-06_invitee.created_zoom_api-booked": created("2026-06-24 22:30:45.105381", RECORDED_2026),
    "recorded/2026-06_invitee_no_show.created": news(
        "invitee_no_show.created", "2026-06-24 22:34:33.909091", replace(RECORDED_2026, no_show=True)
    ),
    "documented/invitee.created": created("2020-11-23 17:51:19.0", DOCUMENTED),
    "documented/invitee.canceled": canceled("2020-11-23 17:54:22.0", DOCUMENTED, DOCUMENTED_CANCELLATION),
    "documented/invitee_no_show.created": news(
        "invitee_no_show.created", "2020-11-23 17:51:19.0", replace(DOCUMENTED, no_show=True)
    ),
    "documented/invitee_no_show.deleted": news(
        "invitee_no_show.deleted", "2020-11-23 17:51:19.0", replace(DOCUMENTED, no_show=False)
    ),
    "documented/sample_webhook_data_invitee.created": created("2019-08-24 14:15:22.0", SAMPLE),
    "written/flow_1_invitee.created": created("2026-11-23 10:00:01.0", BOOKED),
    "written/flow_2_reschedule_invitee.created": created("2026-11-24 08:30:00.0", SUCCESSOR),
    "written/flow_2b_reschedule_invitee.created_tracking-empty": created(
        "2026-11-24 08:30:00.0", replace(SUCCESSOR, tracking={}, flow_id=None)
    ),
    "written/flow_3_reschedule_invitee.canceled": canceled(
        "2026-11-24 08:30:01.0",
        with_event(BOOKED, cancelled=True, cancellation=MOVED_ON, active_invitees=0),
        MOVED_ON,
        rescheduled=True,
        new_event_id=own(103),
        new_invitee_id=own(104),
    ),
    "written/flow_4_invitee.canceled_by-host-through-api": canceled(
        "2026-11-25 09:00:01.0",
        with_event(SUCCESSOR, cancelled=True, cancellation=HOST_CANCELLED, active_invitees=0),
        HOST_CANCELLED,
    ),
    "written/group_invitee.canceled_event-still-active": canceled(
        "2026-11-23 12:00:01.0",
        booked(
            121,
            "2026-11-23 11:30:00.123456",
            "2026-12-04 15:00:00.0",
            "2026-12-04 16:00:00.0",
            event={"active_invitees": 3},
        ),
        GUEST_CANCELLED,
    ),
    "written/invitee_no_show.deleted": news(
        "invitee_no_show.deleted", "2026-12-01 17:00:01.0", replace(BOOKED, no_show=False)
    ),
    "written/paid_by_calendly_invitee.created": created(
        "2026-11-23 11:00:01.0",
        booked(111, "2026-11-23 11:00:00.123456", "2026-12-03 15:00:00.0", "2026-12-03 15:30:00.0"),
    ),
    "written/first_last_name_physical_invitee.created": created(
        "2026-11-23 13:00:01.0",
        booked(
            131,
            "2026-11-23 13:00:00.123456",
            "2026-12-05 15:00:00.0",
            "2026-12-05 16:00:00.0",
            event={"location": PLACE},
            answers=(),
            tracking={"utm_content": FLOW_ID},
        ),
    ),
    "written/custom_location_invitee.created": created(
        "2026-11-23 13:10:01.0",
        booked(
            133,
            "2026-11-23 13:10:00.123456",
            "2026-12-05 17:00:00.0",
            "2026-12-05 18:00:00.0",
            event={"location": {"type": "custom"}},
        ),
    ),
    "written/booked_through_scheduling_api_invitee.created": created(
        "2026-11-23 14:00:01.0",
        booked(141, "2026-11-23 14:00:00.123456", "2026-12-06 15:00:00.0", "2026-12-06 16:00:00.0"),
    ),
    "written/no_tracking_invitee.created": created(
        "2026-11-23 15:00:01.0",
        booked(
            151,
            "2026-11-23 15:00:00.123456",
            "2026-12-07 15:00:00.0",
            "2026-12-07 16:00:00.0",
            tracking={},
            flow_id=None,
        ),
    ),
    "seed_shape/section_1_2_invitee.created_no-top-level-event": news(
        "invitee.created", "2026-11-23 10:00:01.0", CONTRACT, "contract-1.2"
    ),
    "seed_shape/section_3_2_invitee.created": contract("invitee.created", CONTRACT),
    "seed_shape/section_3_2_invitee.canceled": contract(
        "invitee.canceled",
        with_event(CONTRACT, cancelled=True, cancellation=CONTRACT_CANCELLED),
        cancellation=CONTRACT_CANCELLED,
    ),
    "seed_shape/section_3_2_reschedule_invitee.canceled": contract(
        "invitee.canceled",
        with_event(CONTRACT, cancelled=True, cancellation=CONTRACT_MOVED_ON),
        cancellation=CONTRACT_MOVED_ON,
        rescheduled=True,
        new_event_id=own(103),
        new_invitee_id=own(104),
    ),
    "seed_shape/section_3_2_reschedule_invitee.created": contract(
        "invitee.created",
        moved(CONTRACT, own(103), own(104), start=at("2026-12-02 15:00:00.0"), end=at("2026-12-02 16:00:00.0")),
        old_event_id=own(101),
        old_invitee_id=own(102),
    ),
}
# Not webhooks: an invitee alone, as the API gives it.
EXPECTED_INVITEES = {
    "documented/invitee_payload_all_fields_active": DOCUMENTED,
    "documented/invitee_payload_all_fields_canceled": replace(DOCUMENTED, cancellation=DOCUMENTED_CANCELLATION),
}
NO_INVITEE = {"documented/routing_form_submission.created"}
