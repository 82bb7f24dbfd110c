"""The only code that calls Calendly (https://developer.calendly.com/api-docs/).

Each function is one call, or one list, and decides nothing. It raises what `api/calling.py` names (`Refused`,
`Unavailable`, `Unknown`) and no others; a deadline shortens its time-outs and tries. Ids are put on our own
configured base and addresses in answers are never called, so nobody else's words choose whom we talk to.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import requests
import urllib3.exceptions
from django.conf import settings

from api.calling import READ_TIMEOUT, Deadline, Refused, Unavailable, Unknown, patiently, timeouts, with_retries
from bookings.invitees import Invitee, ScheduledEvent, id_of, parse_invitee, parse_scheduled_event
from bookings.reading import ID, LONG_TEXT, Fields

Record = TypeVar("Record")

USER_AGENT = "Slotpay/0.1 (+https://github.com/slotpay/slotpay)"
TRIES, FIRST_WAIT = 3, 0.1  # contract section 7
LARGEST_ANSWER = 2**20
LARGEST_PAGE, MOST_PAGES = 100, 100
USUAL_RESET = 60.0
"""Seconds until a rate limit ends, where Calendly does not say: its limits are per minute."""


@dataclass(frozen=True, slots=True)
class EventType:
    """What can be booked at Calendly; one of our session types points at one."""

    uri: str
    event_type_id: str
    name: str
    slug: str
    scheduling_url: str
    duration_minutes: int | None
    kind: str
    """`solo` or `group`."""
    is_paid: bool
    """Whether Calendly itself takes money for it: then a client would pay twice."""
    active: bool


@dataclass(frozen=True, slots=True)
class WebhookSubscription:
    """Where Calendly sends which news. Its signing key is never told again."""

    subscription_id: str
    callback_url: str
    events: tuple[str, ...]
    scope: str
    state: str
    """`active`, or `disabled` after a day of failed deliveries: then it must be made anew."""


def get_scheduled_event(event_id: str, *, deadline: Deadline | None = None) -> ScheduledEvent:
    answer = _call("GET", f"/scheduled_events/{_checked(event_id)}", deadline=deadline)
    return _read(parse_scheduled_event, answer.get("resource"))


def get_invitee(event_id: str, invitee_id: str, *, deadline: Deadline | None = None) -> Invitee:
    path = f"/scheduled_events/{_checked(event_id)}/invitees/{_checked(invitee_id)}"
    return _read(parse_invitee, _call("GET", path, deadline=deadline).get("resource"))


def list_scheduled_events(since: datetime, until: datetime | None) -> Iterator[ScheduledEvent]:
    """The scheduled events of our organization that start in this time, cancelled ones included, the earliest first.

    Rate limits are waited out, page by page. `Unknown` after 10,000 events: ask for a shorter time.
    """
    params = {"organization": settings.CALENDLY_ORGANIZATION, "min_start_time": _stamp(since)}
    if until:
        params["max_start_time"] = _stamp(until)
    return _walk(parse_scheduled_event, "/scheduled_events", params | {"sort": "start_time:asc"}, patient=True)


def list_invitees(event_id: str, *, deadline: Deadline | None = None) -> list[Invitee]:
    """All invitees of a scheduled event, cancelled ones included."""
    return _list(parse_invitee, f"/scheduled_events/{_checked(event_id)}/invitees", {}, deadline)


def cancel_scheduled_event(event_id: str, reason: str, *, deadline: Deadline | None = None) -> None:
    """Cancel the whole event, for all its invitees, who get a mail with the reason (a text for people, may be empty).

    An event that is cancelled already counts as done. Refused has the code `past` if the event has started or is
    over, and `forbidden` if Calendly does not let us for another reason.
    """
    path = f"/scheduled_events/{_checked(event_id)}/cancellation"
    try:
        try:
            _call("POST", path, body={"reason": reason} if reason else {}, deadline=deadline)
        except Refused as refusal:
            if refusal.status != 400 or not reason:
                raise
            # Seen in production: a 400 whenever a reason was sent, against the documentation.
            _call("POST", path, body={}, deadline=deadline)
    except Refused as refusal:
        if refusal.status != 403:
            raise
        # There is no code for these; the documentation gives the sentences.
        said = refusal.message.lower()
        if "already cancel" in said:
            return
        code = "past" if "in the past" in said else "forbidden"
        raise Refused(refusal.message, status=403, code=code) from refusal


def list_event_types() -> list[EventType]:
    """All event types of our organization, inactive ones included."""
    return _list(_parse_event_type, "/event_types", {"organization": settings.CALENDLY_ORGANIZATION})


def list_webhook_subscriptions() -> list[WebhookSubscription]:
    """The subscriptions of our organization, as far as they are for all of it."""
    organization = {"organization": settings.CALENDLY_ORGANIZATION, "scope": "organization"}
    return _list(_parse_subscription, "/webhook_subscriptions", organization)


def create_webhook_subscription(url: str, events: Sequence[str], signing_key: str) -> WebhookSubscription:
    """Have the events of our whole organization sent to `url`, signed with the key.

    Refused with status 409 if there is one for this address; it may be one of ours whose answer was lost.
    """
    body = {
        "url": url,
        "events": list(events),
        "organization": settings.CALENDLY_ORGANIZATION,
        "scope": "organization",
        "signing_key": signing_key,
    }
    return _read(_parse_subscription, _call("POST", "/webhook_subscriptions", body=body).get("resource"))


def delete_webhook_subscription(subscription_id: str) -> None:
    """Refused with status 404 if it is not there, or not any more."""
    _call("DELETE", f"/webhook_subscriptions/{_checked(subscription_id)}")


def _parse_event_type(resource: dict[str, Any]) -> EventType:
    fields = Fields(resource, "event_type")
    uri = fields.uri("uri")
    return EventType(
        uri=uri,
        event_type_id=id_of(uri),
        name=fields.text("name"),
        slug=fields.text("slug"),
        scheduling_url=fields.text("scheduling_url"),
        duration_minutes=fields.count("duration"),
        kind=fields.text("kind"),
        is_paid=fields.flag("is_paid"),
        active=fields.flag("active"),
    )


def _parse_subscription(resource: dict[str, Any]) -> WebhookSubscription:
    fields = Fields(resource, "webhook_subscription")
    return WebhookSubscription(
        subscription_id=id_of(fields.uri("uri")),
        callback_url=fields.text("callback_url", LONG_TEXT),
        events=tuple(fields.texts("events")),
        scope=fields.text("scope"),
        state=fields.text("state"),
    )


def _parse_error(answer: dict[str, Any]) -> tuple[str, str]:
    fields = Fields(answer, "error")
    return fields.text("title"), fields.text("message")


def _checked(some_id: str) -> str:
    """The id, if it can be put into a path without meaning anything else there."""
    if not re.fullmatch(ID, some_id):
        raise ValueError("this is not an id of Calendly's")
    return some_id


def _read(parse: Callable[[Any], Record], resource: object) -> Record:
    """What the parser makes of an answer. An answer that cannot be understood tells us nothing."""
    try:
        return parse(resource)
    except ValueError as error:
        raise Unknown(f"Calendly's answer was not understood: {error}") from error


def _list(
    parse: Callable[[Any], Record], path: str, params: dict[str, str], deadline: Deadline | None = None
) -> list[Record]:
    """All pages of a list."""
    return list(_walk(parse, path, params, deadline))


def _walk(
    parse: Callable[[Any], Record],
    path: str,
    params: dict[str, str],
    deadline: Deadline | None = None,
    *,
    patient: bool = False,
) -> Iterator[Record]:
    """The resources of a list, page by page; whoever is patient waits until Calendly's rate limit is over."""
    params = params | {"count": str(LARGEST_PAGE)}
    for _ in range(MOST_PAGES):
        ask = partial(_call, "GET", path, params=params, deadline=deadline)
        page, page_token = _read(_parse_page, patiently(ask) if patient else ask())
        yield from [_read(parse, resource) for resource in page]
        if not page_token:
            return
        params = params | {"page_token": page_token}
    raise Unknown("Calendly's list does not end")


def _stamp(moment: datetime) -> str:
    """A time as Calendly writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parse_page(answer: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """The resources on one page, and the token of the next one, empty on the last."""
    fields = Fields(answer, "answer")
    pagination = fields.inner("pagination")
    next_page = pagination.text("next_page", LONG_TEXT)
    # Older answers have the token in the address only. The address itself is not followed.
    page_token = pagination.text("next_page_token", LONG_TEXT) or "".join(
        parse_qs(urlsplit(next_page).query).get("page_token", [])
    )
    if next_page and not page_token:
        raise ValueError("the next page has no token")
    if "collection" not in answer:
        raise ValueError("the page has no list")  # which is not the same as an empty one
    return [item.unread for item in fields.each("collection")], page_token


def _call(
    method: str,
    path: str,
    *,
    params: dict[str, str] | None = None,
    body: dict[str, Any] | None = None,
    deadline: Deadline | None = None,
) -> dict[str, Any]:
    """Call with the contract's retries and return the JSON object that came back; {} where none is due (204)."""

    def call_once() -> dict[str, Any]:
        try:
            with _session().request(
                method,
                settings.CALENDLY_API_BASE + path,
                params=params,
                json=body,
                headers={"Authorization": f"Bearer {settings.CALENDLY_API_TOKEN}"},
                timeout=timeouts(deadline),
                allow_redirects=False,
                stream=True,
            ) as response:
                return _answer(response, deadline)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if _never_connected(error):
                raise Unavailable("Calendly cannot be reached") from error
            raise Unknown(f"the call to Calendly broke off ({type(error).__name__})") from error

    return with_retries(call_once, tries=TRIES, first_wait=FIRST_WAIT, deadline=deadline)


def _never_connected(error: Exception) -> bool:
    """Whether no connection came about (refused, unknown host, time-out), so that nothing can have been done."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, urllib3.exceptions.NewConnectionError)


def _answer(response: requests.Response, deadline: Deadline | None) -> dict[str, Any]:
    status = response.status_code
    if status == 429:
        reset = response.headers.get("X-RateLimit-Reset", "")
        seconds = float(reset) if re.fullmatch(r"[0-9]{1,5}", reset) else USUAL_RESET
        raise Unavailable("Calendly limits our calls", status=status, retry_after=seconds)
    if status >= 500:
        raise Unknown("Calendly failed", status=status)
    if 300 <= status < 400:
        raise Unavailable("Calendly's address answers with a redirect, which is not followed", status=status)
    if status == 204:
        return {}
    answer = _json_object(response, deadline)
    if status >= 400:
        title, message = _read(_parse_error, answer)
        raise Refused(message or title or "no reason given", status=status, code=title)
    return answer


def _json_object(response: requests.Response, deadline: Deadline | None) -> dict[str, Any]:
    """The body, which must be a JSON object of at most 1 MB and arrive in time. Calendly has no other answers, so
    anything else was said by something between us, and says nothing about what Calendly did."""
    content = bytearray()
    until = deadline or Deadline(READ_TIMEOUT)
    # `read1` returns with what is there, so that the clock is looked at even if the bytes come one by one.
    while piece := response.raw.read1(2**16, decode_content=True):
        content += piece
        if len(content) > LARGEST_ANSWER or not until.left():
            raise Unknown("Calendly's answer is too long or too slow", status=response.status_code)
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unknown("Calendly's answer is not JSON", status=response.status_code) from error
    if not isinstance(answer, dict):
        raise Unknown("Calendly's answer is not a JSON object", status=response.status_code)
    return answer


_of_thread = threading.local()


def _session() -> requests.Session:
    """This thread's session, whose connections are kept open and used again.

    One for each thread, for `requests` does not promise that a session can be shared.
    """
    if not hasattr(_of_thread, "session"):
        session = requests.Session()
        session.trust_env = False  # no proxies and no .netrc: either could send our token elsewhere
        session.headers["User-Agent"] = USER_AGENT
        _of_thread.session = session
    kept: requests.Session = _of_thread.session
    return kept
