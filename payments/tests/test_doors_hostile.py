"""The doors of payments against hostile input: refused, never a 5xx or a redirect, and nothing written."""

import json

import pytest
from django.test import Client as Browser

from bookings.models import Booking
from bookings.tests.hostile import BODIES, PATH_IDS, assert_refused, nothing_written, spoiled
from bookings.tests.marketplace import Caller, begun, caller, heard, offer, opened

pytestmark = pytest.mark.django_db

CREATE, STATUS = "/api/stripe/create-checkout-session", "/api/stripe/session-status/"


@pytest.fixture
def ann() -> Caller:
    return caller("ann@example.com")


@pytest.fixture
def booking(ann: Caller) -> Booking:
    """A slot whose checkout is open, so that a good request would succeed."""
    booking = heard(begun(ann, offer()), "INV")
    opened(booking)
    return booking


@pytest.mark.parametrize(("raw", "content_type", "status"), BODIES.values(), ids=BODIES)
def test_a_hostile_body_is_refused(ann: Caller, booking: Booking, raw: bytes, content_type: str, status: int):
    with nothing_written():
        assert_refused(ann.send("POST", CREATE, raw, content_type), status)


def test_one_wrong_field_spoils_the_whole_body(ann: Caller, booking: Booking):
    body = {"bookingId": booking.id, "returnUrl": "http://testserver/done", "cancelUrl": "http://testserver/left"}
    assert ann.post(CREATE, body).status_code == 200
    with nothing_written():
        for about, wrong in spoiled(body, {"bookingId"}):
            assert_refused(ann.post(CREATE, wrong), 400, about=about)


def test_a_key_given_twice_is_refused(ann: Caller, booking: Booking):
    raw = f'{{"bookingId": "{booking.id}", "bookingId": "bk_OTHER"}}'
    with nothing_written():
        assert_refused(ann.send("POST", CREATE, raw.encode()), 400)


@pytest.mark.parametrize("an_id", PATH_IDS)
def test_a_session_id_that_is_none_is_not_found(ann: Caller, an_id: str):
    with nothing_written():
        assert_refused(ann.get(STATUS + an_id), 404)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_create_checkout_answers_post_only(ann: Caller, booking: Booking, method: str):
    with nothing_written():
        response = ann.send(method, CREATE, json.dumps({"bookingId": booking.id}).encode())
    assert response.status_code == 405
    assert "POST" in response["Allow"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_session_status_answers_get_only(ann: Caller, booking: Booking, method: str):
    with nothing_written():
        response = ann.send(method, f"{STATUS}cs_test_1", b"{}")
    assert_refused(response, 405)
    assert "GET" in response["Allow"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_trailing_slash_is_another_address_and_no_redirect(ann: Caller, booking: Booking, method: str):
    with nothing_written():
        for path in (f"{CREATE}/", f"{STATUS}cs_test_1/"):
            assert_refused(ann.send(method, path, b"{}"), 404, about=path)
        for path in (f"/pay/{booking.id}/", f"/pay/{booking.id}/return/", "/pay/", "/pay"):
            assert Browser().generic(method, path).status_code == 404


@pytest.mark.parametrize("an_id", PATH_IDS)
def test_a_pay_link_of_nobody_is_not_found(an_id: str):
    http = Browser(raise_request_exception=False)
    with nothing_written():
        for path in (f"/pay/{an_id}", f"/pay/{an_id}/return", f"/pay/{an_id}/return?session=cs_test_1&left=1"):
            assert http.get(path).status_code == 404, path
        assert http.post(f"/pay/{an_id}").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_the_pages_answer_only_what_a_browser_asks(booking: Booking, method: str):
    http = Browser(raise_request_exception=False)
    with nothing_written():
        assert http.generic(method, f"/pay/{booking.id}").status_code == 405
        assert http.generic(method, f"/pay/{booking.id}/return").status_code == 405


@pytest.mark.parametrize(("raw", "content_type", "_status"), BODIES.values(), ids=BODIES)
def test_a_hostile_body_at_the_button_is_refused(booking: Booking, raw: bytes, content_type: str, _status: int):
    http = Browser(enforce_csrf_checks=True, raise_request_exception=False)
    with nothing_written():
        answer = http.generic("POST", f"/pay/{booking.id}", raw, content_type=content_type)
    assert answer.status_code in (400, 403)
