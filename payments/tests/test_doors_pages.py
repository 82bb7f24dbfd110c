"""Where a client goes on to after paying, and the pages behind a pay link (DESIGN 5, 6.8)."""

from collections.abc import Iterator
from typing import Any

import pytest
import responses
from django.test import Client as Browser

from bookings.models import Booking, BookingFlow
from bookings.tests.hostile import assert_refused, nothing_written
from bookings.tests.marketplace import (
    Caller,
    begun,
    caller,
    heard,
    offer,
    opened,
)
from payments.models import Checkout
from payments.tests.test_doors import SESSIONS, after_the_hold, create, session_json, stripe_opens

pytestmark = pytest.mark.django_db

SHOP = "https://shop.example"


@pytest.fixture(autouse=True)
def _origins(settings: Any) -> None:
    settings.RETURN_URL_ORIGINS = [SHOP, "http://localhost:3000"]


@pytest.fixture
def ann() -> Caller:
    return caller("ann@example.com")


@pytest.fixture
def booking(ann: Caller) -> Booking:
    """A slot that Calendly has told of and that can be paid for."""
    return heard(begun(ann, offer()), "INV")


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


GOOD_URLS = [
    f"{SHOP}/done?booking=1#top",
    SHOP,
    f"{SHOP}?x=1",
    "http://localhost:3000/done",
    f"{SHOP}/a%20b/%2e%2e/",
    "HTTPS://shop.example/",
]
BAD_URLS = [
    *("", "/", "/done", "done", "?x", "#", "//evil.example", "///evil.example", "////evil.example", ":"),
    *("https:evil.example", "https:/evil.example", "https:///evil.example", "https:shop.example", "https://"),
    *("https://evil.example", "https://evil.example/https://shop.example", "https://evil.example?https://shop.example"),
    *("https://shop.example@evil.example", "https://shop.example:x@evil.example", "https://evil@shop.example"),
    *("https://shop.example.evil.example", "https://shop.exampleevil", "https://evilshop.example", "https://shop"),
    *("https://SHOP.example", "https://shop.example.", "https://shop.example:443", "https://shop.example:8443"),
    *("http://shop.example", "http://localhost", "http://localhost:30000", "http://127.0.0.1:3000"),
    *("https://shop.example\\@evil.example", "https:\\\\evil.example", "\\\\evil.example", "https://shop.example\\x"),
    *("javascript:alert(1)", "JaVaScRiPt://shop.example/%0aalert(1)", "data:text/html,x", "vbscript:x"),
    *("file:///etc/passwd", "ftp://shop.example", "blob:https://shop.example/x", "view-source:https://shop.example"),
    *(
        f"{SHOP}/\r\nSet-Cookie: a=b",
        f"{SHOP}/\n",
        f"{SHOP}\t/x",
        f"\t{SHOP}",
        f" {SHOP}",
        f"{SHOP}/ x",
        f"{SHOP}/\x7f",
    ),
    *("https://shop.example\u2044evil.example", "https://shop\u3002example", "https://ѕhop.example", f"{SHOP}/é"),
    *(
        "https://[::1]",
        "https://[shop.example",
        "https://shop.example]",
        "https://[shop.example]/",
        "https://%73hop.example",
    ),
    *(f'{SHOP}/"onload="x', f"{SHOP}/<script>", f"{SHOP}/{'x' * 2_000}", "https://xn--shop-example"),
]


@pytest.mark.parametrize("url", GOOD_URLS)
def test_a_url_of_an_allowed_origin_is_where_the_client_goes_on_to(ann: Caller, booking: Booking, wire, url):
    opened(booking)
    assert create(ann, booking, returnUrl=url, cancelUrl=f"{SHOP}/left").status_code == 200
    wire.get(f"{SESSIONS}/cs_test_1", json=session_json(booking))
    back = Browser().get(f"/pay/{booking.id}/return?session=cs_test_1")
    assert (back.status_code, back["Location"]) == (303, url)
    left = Browser().get(f"/pay/{booking.id}/return?left=1")
    assert (left.status_code, left["Location"]) == (303, f"{SHOP}/left")


@pytest.mark.parametrize("field", ["returnUrl", "cancelUrl"])
def test_any_other_url_is_refused(ann: Caller, booking: Booking, field: str):
    opened(booking)
    with nothing_written():
        for url in BAD_URLS:
            response = create(ann, booking, **{field: url})
            assert_refused(response, 400, about=url)
            assert response.json()["error"]["details"]["fields"].keys() == {field}, url


def test_the_urls_that_were_given_last_count(ann: Caller, booking: Booking):
    opened(booking)
    create(ann, booking, returnUrl=f"{SHOP}/1", cancelUrl=f"{SHOP}/left")
    create(ann, booking, returnUrl=f"{SHOP}/2")
    create(ann, booking)
    flow = BookingFlow.objects.get(pk=booking.flow_id)
    assert (flow.return_url, flow.cancel_url) == (f"{SHOP}/2", "")


def test_the_page_behind_a_pay_link_opens_nothing_by_itself(booking: Booking):
    with nothing_written():
        page = Browser().get(f"/pay/{booking.id}")
    assert page.status_code == 200
    assert b"<form" in page.content
    assert "no-store" in page["Cache-Control"]
    assert page["X-Frame-Options"] == "DENY"


def test_the_pages_show_no_personal_data(booking: Booking):
    for path in ("", "/return", "/return?left=1"):
        text = Browser().get(f"/pay/{booking.id}{path}").content.decode()
        for personal in ("Ann", "ann@example.com", "+49", "secret plan", booking.flow_id, "INV"):
            assert personal not in text


def test_the_button_opens_a_checkout_and_goes_there(booking: Booking, wire):
    stripe_opens(wire, booking)
    answer = Browser().post(f"/pay/{booking.id}")
    assert (answer.status_code, answer["Location"]) == (303, "https://checkout.stripe.com/c/pay/cs_test_1")
    assert Checkout.objects.get().flow_id == booking.flow_id


def test_the_button_of_somebody_elses_page_is_refused(booking: Booking):
    http = Browser(enforce_csrf_checks=True)
    with nothing_written():
        assert http.post(f"/pay/{booking.id}").status_code == 403
        assert http.post(f"/pay/{booking.id}", {"csrfmiddlewaretoken": "x" * 64}).status_code == 403


def test_a_button_pressed_too_late_says_so(ann: Caller, time_machine: Any):
    booking = after_the_hold(ann, time_machine)
    answer = Browser().post(f"/pay/{booking.id}")
    assert answer.status_code == 410
    assert b"The time to pay for this booking is over" in answer.content


@pytest.mark.parametrize("session", ["cs_test_1%00", "%00", "%00cs_test_1", "x" * 5_000, "%ff", "cs_other", "%0d%0a"])
def test_a_hostile_session_id_at_the_return_page_does_no_harm(booking: Booking, wire, session):
    opened(booking)
    wire.get(f"{SESSIONS}/cs_test_1", json=session_json(booking))
    assert Browser().get(f"/pay/{booking.id}/return?session={session}").status_code == 200


def test_a_session_of_another_booking_is_not_read(ann: Caller, booking: Booking, wire):
    other = heard(begun(ann, offer()), "INV-2")
    opened(other, "cs_test_2")
    with nothing_written():
        assert Browser().get(f"/pay/{booking.id}/return?session=cs_test_2").status_code == 200
    assert len(wire.calls) == 0
