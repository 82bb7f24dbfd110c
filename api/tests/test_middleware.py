import pytest
from django.test import Client

from api.tests import doors

pytestmark = pytest.mark.urls("api.tests.doors")
debug_on_and_off = pytest.mark.parametrize("debug", [True, False])


def assert_envelope(response, status, code):
    body = response.json()
    assert (response.status_code, body["success"], body["error"]["code"]) == (status, False, code)
    assert body["error"]["message"]
    assert body["error"]["details"]["requestId"] == response["X-Request-Id"]
    assert doors.SURPRISE not in response.content.decode()


@debug_on_and_off
@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/api/strict/", "/api/auth/token/", "/api/%00", "/api/%ff"]
)
def test_an_unknown_address_under_api_is_a_404_and_no_redirect(client: Client, settings, debug, path):
    settings.DEBUG = debug
    assert_envelope(client.get(path), 404, "NOT_FOUND")


@debug_on_and_off
def test_djangos_own_405_keeps_its_allow_header(client: Client, settings, debug):
    settings.DEBUG = debug
    response = client.get("/api/post-only")
    assert_envelope(response, 405, "METHOD_NOT_ALLOWED")
    assert response["Allow"] == "POST"
    assert response["X-Content-Type-Options"] == "nosniff"


def test_the_frameworks_405_keeps_its_allow_header(client: Client):
    response = client.get("/api/strict")
    assert_envelope(response, 405, "METHOD_NOT_ALLOWED")
    assert response["Allow"] == "POST, OPTIONS"


@debug_on_and_off
def test_a_bad_host_is_a_400(quiet_client: Client, settings, debug):
    settings.DEBUG, settings.ALLOWED_HOSTS = debug, ["example.com"]
    assert_envelope(quiet_client.post("/api/post-only", headers={"Host": "evil.test"}), 400, "INVALID_REQUEST")


@debug_on_and_off
def test_a_failed_csrf_check_is_a_403(settings, debug):
    settings.DEBUG = debug
    response = Client(enforce_csrf_checks=True).post("/api/protected")
    assert_envelope(response, 403, "FORBIDDEN")


@debug_on_and_off
def test_a_failing_middleware_is_a_500(quiet_client: Client, settings, debug, caplog):
    settings.DEBUG = debug
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "api.tests.doors.BrokenMiddleware"]
    response = quiet_client.get("/api/strict")
    assert_envelope(response, 500, "INTERNAL_ERROR")
    assert response["X-Request-Id"] in caplog.text
    assert doors.SURPRISE in caplog.text


def test_a_body_over_djangos_bound_is_a_413(client: Client):
    response = client.post("/api/post-only", b"x" * (2**20 + 1), content_type="application/json")
    assert_envelope(response, 413, "PAYLOAD_TOO_LARGE")


def test_a_rewritten_answer_does_not_keep_the_length_of_the_page(client: Client):
    assert "Content-Length" not in client.get("/api/post-only")


def test_pages_elsewhere_keep_djangos_errors(quiet_client: Client):
    for response, status in (
        (quiet_client.get("/nothing"), 404),
        (quiet_client.get("/apiary"), 404),
        (quiet_client.get("/page/surprise"), 500),
    ):
        assert response.status_code == status
        assert response["Content-Type"].startswith("text/html")
        assert response["X-Request-Id"]


@pytest.mark.parametrize("given", ["abcdefgh", "A-z_0123456789", "x" * 64])
def test_a_harmless_request_id_is_taken_over(client: Client, given):
    assert client.get("/healthz", headers={"X-Request-Id": given})["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "with space", "line\nbreak1", "abcdefgh\n", "ünïcödé-1"])
def test_any_other_request_id_is_replaced(client: Client, given):
    answered = client.get("/healthz", headers={"X-Request-Id": given})["X-Request-Id"]
    assert answered != given
    assert len(answered) == 32


def test_ids_in_addresses_are_printable_and_short(client: Client):
    assert client.get("/api/ids/bk_1").content == b"bk_1"
    assert client.get("/api/ids/auth0|12").content == b"auth0|12"
    assert client.get("/api/ids/cs_test_" + "a" * 58).status_code == 200
    for bad in ("a%00", "a%20b", "%0a", "b" * 256, "%c3%a9", "a%2fb"):
        assert_envelope(client.get(f"/api/ids/{bad}"), 404, "NOT_FOUND")
