import logging

import pytest
from django.test import Client

from api import errors
from api.tests import doors

CONTRACT_AND_DESIGN = {
    "INVALID_REQUEST": 400,
    "BOOKING_NOT_FOUND": 404,
    "CALENDLY_API_ERROR": 502,
    "STRIPE_API_ERROR": 502,
    "WEBHOOK_VERIFICATION_FAILED": 400,
    "SESSION_EXPIRED": 410,
    "PAYMENT_FAILED": 402,
    "REFUND_FAILED": 502,
    "BOOKING_CONFLICT": 409,
    "INTERNAL_ERROR": 500,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "IDEMPOTENCY_KEY_REUSED": 422,
    "IDEMPOTENCY_IN_PROGRESS": 409,
    "RATE_LIMITED": 429,
    "SERVICE_UNAVAILABLE": 503,
}

pytestmark = pytest.mark.urls("api.tests.doors")


def test_there_is_one_error_for_each_code():
    assert {error.code: error.status for error in errors.ApiError.__subclasses__()} == CONTRACT_AND_DESIGN


def test_the_envelope_is_the_contracts():
    error = errors.BookingConflict("It is over.", details={"reason": "started"})
    assert errors.envelope(error, "an-id-of-a-request") == {
        "success": False,
        "error": {
            "code": "BOOKING_CONFLICT",
            "message": "It is over.",
            "details": {"reason": "started", "requestId": "an-id-of-a-request"},
        },
    }


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("kind", ["raising", "plain"])
@pytest.mark.parametrize(
    ("raised", "code"),
    [
        ("surprise", "INTERNAL_ERROR"),
        ("drf-surprise", "INTERNAL_ERROR"),
        ("recursion", "INTERNAL_ERROR"),
        ("http404", "NOT_FOUND"),
        ("drf-not-found", "NOT_FOUND"),
        ("django-denied", "FORBIDDEN"),
        ("drf-denied", "FORBIDDEN"),
        ("too-big", "PAYLOAD_TOO_LARGE"),
        ("suspicious", "INVALID_REQUEST"),
        ("database", "SERVICE_UNAVAILABLE"),
        ("throttled", "RATE_LIMITED"),
        ("ours", "BOOKING_CONFLICT"),
    ],
)
def test_whatever_a_view_raises_is_answered_in_the_envelope(client: Client, settings, debug, kind, raised, code):
    settings.DEBUG = debug
    response = client.get(f"/api/{kind}/{raised}")
    body = response.json()
    assert (response.status_code, body["success"], body["error"]["code"]) == (CONTRACT_AND_DESIGN[code], False, code)
    assert body["error"]["details"]["requestId"] == response["X-Request-Id"]
    assert response["Content-Type"] == "application/json"
    for secret in (doors.SURPRISE, "Traceback", "somebody else", "closed the connection"):
        assert secret not in response.content.decode()


@pytest.mark.parametrize("kind", ["raising", "plain"])
def test_a_surprise_is_logged_with_traceback_and_request_id(client: Client, caplog, kind):
    response = client.get(f"/api/{kind}/surprise", headers={"X-Request-Id": "find-me-in-the-log"})
    [line] = [record for record in caplog.records if record.name == "api.errors"]
    assert line.levelno == logging.ERROR
    assert "find-me-in-the-log" in line.getMessage()
    assert line.exc_info
    assert line.exc_info[1] is doors.RAISED["surprise"]
    assert response["X-Request-Id"] == "find-me-in-the-log"


def test_what_we_raise_ourselves_is_no_surprise(client: Client, caplog):
    client.get("/api/raising/ours-later")
    assert "api.errors" not in {record.name for record in caplog.records}


def test_waiting_times_are_whole_seconds_rounded_up(client: Client):
    assert client.get("/api/raising/throttled")["Retry-After"] == "8"
    assert client.get("/api/raising/ours-later")["Retry-After"] == "2"
    assert client.get("/api/raising/database")["Retry-After"] == "5"
    assert "Retry-After" not in client.get("/api/raising/ours")


def test_two_unknown_bookings_look_alike(client: Client):
    def without_id(response):
        return response.content.replace(response["X-Request-Id"].encode(), b"")

    first, second = (client.get("/api/raising/unknown-booking") for _ in range(2))
    assert first["X-Request-Id"] != second["X-Request-Id"]
    assert without_id(first) == without_id(second)
