"""Bad bodies are refused in the envelope and change nothing: at a door of the tests, and at the token's."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from knox.models import AuthToken

from api.tests import doors
from api.tests.conftest import PASSWORD

pytestmark = pytest.mark.urls("api.tests.doors")

JSON = "application/json"
GOOD_TEXT = '"text": "x"'
HOSTILE = {
    "no JSON": (b"text=x", JSON, 400),
    "form": (b"text=x", "application/x-www-form-urlencoded", 415),
    "multipart": (b"--x\r\n", "multipart/form-data; boundary=x", 415),
    "plain text": (b'{"text": "x"}', "text/plain", 415),
    "no type": (b'{"text": "x"}', "", 415),
    "any type": (b'{"text": "x"}', "*/*", 415),
    "any application": (b'{"text": "x"}', "application/*", 415),
    "a long type": (b'{"text": "x"}', "application/json;" + "a=b;" * 3000, 415),
    "json-like type": (b'{"text": "x"}', "application/vnd.api+json", 415),
    "utf-7": (b'{"text": "x"}', "application/json; charset=utf-7", 415),
    "latin-1": (b'{"text": "x"}', "application/json; charset=iso-8859-1", 415),
    "array": (b"[]", JSON, 400),
    "null": (b"null", JSON, 400),
    "string": (b'"text"', JSON, 400),
    "spaces": (b"   ", JSON, 400),
    "empty": (b"", JSON, 400),
    "empty object": (b"{}", JSON, 400),
    "byte order mark": (b'\xef\xbb\xbf{"text": "x"}', JSON, 400),
    "utf-16": ('{"text": "x"}'.encode("utf-16"), JSON, 400),
    "not UTF-8": (b'{"text": "\xff\xfe"}', JSON, 400),
    "NUL": (rb'{"text": "a\u0000"}', JSON, 400),
    "NUL in a key": (rb'{"te\u0000xt": "a"}', JSON, 400),
    "a raw NUL": (b'{"text": "a\x00"}', JSON, 400),
    "half a surrogate pair": (rb'{"text": "\ud800"}', JSON, 400),
    "NaN": (b'{"text": NaN}', JSON, 400),
    "infinity": (b'{"text": 1e999}', JSON, 400),
    "a huge integer": (b'{"text": ' + b"9" * 20_000 + b"}", JSON, 400),
    "a large integer": (b'{"text": 9007199254740993}', JSON, 400),
    "5,000 deep": (b'{"text": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", JSON, 400),
    "30,000 deep, never closed": (b'{"text": ' + b"[" * 30_000, JSON, 400),
    "33 deep": (b'{"text": ' + b"[" * 32 + b"]" * 32 + b"}", JSON, 400),
    "a key twice": (b'{"text": "a", "text": "b"}', JSON, 400),
    "64 kB and a byte": (b'{"text": "x"}'.ljust(64 * 1024 + 1), JSON, 413),
    "10 MB": (b'{"text": "' + b"x" * 10_000_000 + b'"}', JSON, 413),
    "10 MB, deep": (b'{"text": ' + b"[" * 10_000_000, JSON, 413),
}
hostile = pytest.mark.parametrize(("raw", "content_type", "status"), HOSTILE.values(), ids=HOSTILE)


def assert_refused(response, status):
    codes = {400: "INVALID_REQUEST", 413: "PAYLOAD_TOO_LARGE", 415: "UNSUPPORTED_MEDIA_TYPE"}
    body = response.json()
    assert (response.status_code, body["success"], body["error"]["code"]) == (status, False, codes[status])
    assert body["error"]["details"]["requestId"] == response["X-Request-Id"]
    assert len(response.content) < 10_000


@hostile
@pytest.mark.parametrize("debug", [True, False])
def test_a_hostile_body_is_refused(client: Client, settings, debug, raw, content_type, status):
    settings.DEBUG = debug
    assert_refused(client.post("/api/strict", raw, content_type=content_type), status)
    assert doors.accepted == []


@hostile
def test_a_hostile_body_gets_no_token(client: Client, clara: User, raw, content_type, status):
    raw = raw.replace(b'"text"', b'"email": "clara@example.com", "password": "%s", "text"' % PASSWORD.encode())
    assert_refused(client.post("/api/auth/token", raw, content_type=content_type), status)
    assert AuthToken.objects.count() == 0
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    "content_type", [JSON, "Application/JSON", "application/json; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_in_utf_8_is_accepted(client: Client, content_type):
    response = client.post("/api/strict", '{"text": "é"}'.encode(), content_type=content_type)
    assert response.status_code == 200
    assert doors.accepted == [{"text": "é"}]


@pytest.mark.parametrize(
    "accept",
    ["text/html", "application/json; x*=a; x*0=b", "application/json; x*=nonsense''a", "text/xml;" * 2000, ",;,"],
)
def test_an_accept_header_without_json_is_a_406(client: Client, accept):
    response = client.post("/api/strict", b'{"text": "x"}', content_type=JSON, headers={"Accept": accept})
    assert (response.status_code, response.json()["error"]["code"]) == (406, "NOT_ACCEPTABLE")
    assert doors.accepted == []
