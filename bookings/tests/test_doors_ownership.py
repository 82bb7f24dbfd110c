"""Who gets what: two clients, the back end, staff and nobody, at every door that takes an id (DESIGN 6.10, 6.11)."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client as Browser

from api.accounts import issue_token
from bookings.models import Booking
from bookings.tests.hostile import assert_refused, nothing_written, without_request_id
from bookings.tests.marketplace import CALENDLY, Caller, begun, browser_of, caller, heard, offer, opened

pytestmark = pytest.mark.django_db

UNKNOWN = {"booking": "bk_00000000000000000000000000", "flow": "bf_00000000000000000000000000", "session": "cs_test_0"}
Ask = Callable[[Caller, dict[str, str]], Any]


def store_event(one: Caller, ids: dict[str, str]) -> Any:
    event_uri = f"{CALENDLY}/scheduled_events/EV"
    uris = {"calendlyEventUri": event_uri, "calendlyInviteeUri": f"{event_uri}/invitees/INV"}
    return one.post("/api/scheduling/calendly/store-event", {"bookingFlowId": ids["flow"], **uris})


DOORS: dict[str, tuple[Ask, str]] = {
    "booking": (lambda one, ids: one.get(f"/api/scheduling/bookings/{ids['booking']}"), "BOOKING_NOT_FOUND"),
    "booking-status": (
        lambda one, ids: one.get(f"/api/scheduling/calendly/booking-status/{ids['booking']}"),
        "BOOKING_NOT_FOUND",
    ),
    "store-event": (store_event, "BOOKING_NOT_FOUND"),
    "create-checkout-session": (
        lambda one, ids: one.post("/api/stripe/create-checkout-session", {"bookingId": ids["booking"]}),
        "BOOKING_NOT_FOUND",
    ),
    "cancel-booking": (
        lambda one, ids: one.post("/api/scheduling/cancel-booking", {"bookingId": ids["booking"]}),
        "BOOKING_NOT_FOUND",
    ),
    "cancellation-quote": (
        lambda one, ids: one.get(f"/api/scheduling/bookings/{ids['booking']}/cancellation-quote"),
        "BOOKING_NOT_FOUND",
    ),
    "session-status": (lambda one, ids: one.get(f"/api/stripe/session-status/{ids['session']}"), "NOT_FOUND"),
}
READING = {name: DOORS[name] for name in ("booking", "booking-status")}
OTHERS: dict[str, Ask] = {
    "bookings": lambda one, ids: one.get("/api/scheduling/bookings"),
    "session-types": lambda one, ids: one.get("/api/scheduling/session-types"),
    "session-type": lambda one, ids: one.get("/api/scheduling/session-types/st_NOBODY"),
    "initiate-booking": lambda one, ids: one.post("/api/scheduling/calendly/initiate-booking", {}),
}


@pytest.fixture
def bobs() -> dict[str, str]:
    """What belongs to Bob."""
    booking = heard(begun(caller("bob@example.com"), offer()), "INV-BOB")
    return {"booking": booking.id, "flow": booking.flow_id, "session": opened(booking).session_id}


@pytest.mark.parametrize(("ask", "code"), DOORS.values(), ids=DOORS)
def test_what_is_foreign_is_answered_as_what_is_unknown(bobs: dict[str, str], ask: Ask, code: str):
    ann = caller("ann@example.com")
    heard(begun(ann, offer()), "INV-ANN")
    with nothing_written():
        foreign, unknown = ask(ann, bobs), ask(ann, UNKNOWN)
    assert_refused(foreign, 404)
    assert foreign.json()["error"]["code"] == code
    assert without_request_id(foreign) == without_request_id(unknown)
    assert _headers(foreign) == _headers(unknown)


@pytest.mark.parametrize(("ask", "code"), DOORS.values(), ids=DOORS)
def test_what_is_foreign_costs_as_much_as_what_is_unknown(
    bobs: dict[str, str], ask: Ask, code: str, django_assert_max_num_queries: Any
):
    ann = caller("ann@example.com")
    with django_assert_max_num_queries(50) as foreign:
        ask(ann, bobs)
    with django_assert_max_num_queries(50) as unknown:
        ask(ann, UNKNOWN)
    assert len(foreign) == len(unknown)


def _headers(response: Any) -> dict[str, str]:
    return {name: value for name, value in response.items() if name != "X-Request-Id"}


@pytest.mark.parametrize(("ask", "code"), READING.values(), ids=READING)
def test_the_back_end_sees_everybodys(bobs: dict[str, str], ask: Ask, code: str):
    assert ask(caller("shop@example.com", back_end=True), bobs).status_code == 200


def test_a_list_has_ones_own_only(bobs: dict[str, str]):
    ann, back_end = caller("ann@example.com"), caller("shop@example.com", back_end=True)
    own = heard(begun(ann, offer()), "INV-ANN")
    listed = [one["id"] for one in ann.get("/api/scheduling/bookings").json()["results"]]
    assert listed == [own.id]
    everybodys = {one["id"] for one in back_end.get("/api/scheduling/bookings").json()["results"]}
    assert everybodys == {own.id, bobs["booking"]}


def test_a_direct_booking_without_a_client_is_seen_by_the_back_end_only(bobs: dict[str, str]):
    booking = Booking.objects.get(pk=bobs["booking"])
    booking.flow.client = None
    booking.flow.save()
    bob, back_end = caller("bob@example.com"), caller("shop@example.com", back_end=True)
    for ask, _ in READING.values():
        assert_refused(ask(bob, bobs), 404)
        assert ask(back_end, bobs).status_code == 200
    assert bob.get("/api/scheduling/bookings").json()["results"] == []


def nobody() -> Caller:
    return Caller()


def with_garbage_for_a_token() -> Caller:
    return Caller(http=Browser(raise_request_exception=False, headers={"Authorization": "Bearer é\x01' OR 1=1"}))


def with_an_ended_token() -> Caller:
    user = User.objects.create_user("late@example.com")
    return Caller(http=Browser(headers={"Authorization": f"Bearer {issue_token(user, days=-1)[0]}"}))


def with_a_token_of_a_closed_account() -> Caller:
    user = User.objects.create_user("closed@example.com")
    http = browser_of(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    return Caller(http=http)


def with_a_token_of_staff() -> Caller:
    return Caller(http=browser_of(_staff()))


def with_a_token_of_a_superuser() -> Caller:
    return Caller(http=browser_of(User.objects.create_superuser("root@example.com")))


def with_a_session_of_staff() -> Caller:
    http = Browser(raise_request_exception=False)
    http.force_login(_staff())
    return Caller(http=http)


def _staff() -> User:
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="act_for_clients"))
    return staff


NOBODIES = [
    *(nobody, with_garbage_for_a_token, with_an_ended_token, with_a_token_of_a_closed_account),
    *(with_a_token_of_staff, with_a_token_of_a_superuser, with_a_session_of_staff),
]


@pytest.mark.parametrize("make", NOBODIES)
def test_who_is_no_client_is_let_in_nowhere(bobs: dict[str, str], make: Callable[[], Caller]):
    one = make()
    with nothing_written():
        for name, ask in {**OTHERS, **{name: ask for name, (ask, _) in DOORS.items()}}.items():
            response = ask(one, bobs)
            assert_refused(response, 401, about=name)
            assert response.json()["error"]["code"] == "UNAUTHENTICATED"
            assert response["WWW-Authenticate"] == "Bearer"


def test_a_session_of_our_own_pages_may_read_and_needs_csrf_to_write(bobs: dict[str, str]):
    http = Browser(enforce_csrf_checks=True, raise_request_exception=False)
    http.force_login(User.objects.get(username="bob@example.com"))
    bob = Caller(http=http)
    assert DOORS["booking"][0](bob, bobs).status_code == 200
    with nothing_written():
        for name in ("store-event", "create-checkout-session"):
            assert_refused(DOORS[name][0](bob, bobs), 403, about=name)


def test_a_token_in_the_query_is_no_token(bobs: dict[str, str]):
    token, _ = issue_token(User.objects.get(username="bob@example.com"))
    for name in ("token", "access_token", "Authorization"):
        assert_refused(Caller().get("/api/scheduling/bookings", **{name: token}), 401)
