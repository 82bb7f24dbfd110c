"""Through the handler that the web server runs: Django's test client makes its requests in another way."""

import io
import json
from urllib.parse import urlencode

import pytest

from api.tests import doors
from api.wsgi import Handler

# Django closes connections at the ends of a request, and asks the database first.
pytestmark = [pytest.mark.urls("api.tests.doors"), pytest.mark.django_db]

GOOD = b'{"text": "x"}'


def post(content_type="application/json", query="", length="13", body=None):
    answered = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/api/strict",
        "QUERY_STRING": query,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": length,
        "wsgi.input": body or io.BytesIO(GOOD),
        "wsgi.url_scheme": "http",
    }

    def start_response(status, headers, problem=None, /):
        answered.append(int(status[:3]))
        return answered.append

    answer = b"".join(Handler()(environ, start_response))
    return answered[0], json.loads(answer)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; x*=nonsense''a",
        "application/json; x*=a; x*0=b",
        "application/json; x*=idna''%ff%fe",
        "application/json; x*=undefined''%ff",
        "application/json; charset=base64",
        "application/json; charset=undefined",
        "application/json; charset=no-such-thing",
    ],
)
def test_a_content_type_that_breaks_django_is_a_415(content_type):
    status, body = post(content_type, query="q=%ff")
    assert (status, body["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert doors.accepted == []


def test_a_good_content_type_is_still_read():
    assert post("application/json; charset=UTF-8", query="q=%ff") == (200, {"success": True})


def test_too_many_parameters_are_answered_in_the_envelope():
    query = urlencode([("a", "b")] * 1_001)
    status, body = post("application/json; charset=utf-8", query=query)
    assert (status, body["error"]["code"]) == (400, "INVALID_REQUEST")


def test_a_large_body_is_refused_unread():
    body = io.BytesIO(b" " * 65_537)  # within Django's own bound
    status, answer = post(length="65537", body=body)
    assert (status, answer["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert body.tell() == 0


@pytest.mark.parametrize("length", ["0", "", "x", "-5"])
def test_without_a_good_length_there_is_no_body(length):
    status, answer = post(length=length)
    assert (status, answer["error"]["code"]) == (400, "INVALID_REQUEST")
    assert doors.accepted == []
