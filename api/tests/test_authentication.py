import pytest
from django.contrib.auth.models import User
from django.test import Client
from knox.models import AuthToken

from api.accounts import issue_token

pytestmark = [pytest.mark.urls("api.tests.doors"), pytest.mark.django_db]


def get(client: Client, authorization: str | None):
    return client.get("/api/client", headers={"Authorization": authorization} if authorization is not None else {})


def assert_401(response):
    assert (response.status_code, response.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
    assert response["WWW-Authenticate"] == "Bearer"


def test_a_token_lets_its_user_in_at_the_price_of_one_statement(client: Client, clara: User, django_assert_num_queries):
    token, _ = issue_token(clara)
    with django_assert_num_queries(1):
        response = get(client, f"Bearer {token}")
    assert response.json()["user"] == "clara@example.com"
    assert get(client, f"bearer {token}").status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer nonsense",
        "Bearer " + "0" * 64,
        "Bearer " + "0" * 63 + "\x00",
        "Bearer \x00",
        "Bearer " + "0" * 10_000,
        "Bearer \xff\xfe" + "0" * 62,
        "Token " + "0" * 64,
        "Basic Y2xhcmE6c2VjcmV0",
    ],
)
def test_what_is_no_token_of_ours_is_a_401(client: Client, clara: User, authorization):
    issue_token(clara)
    assert_401(get(client, authorization))


def test_the_answer_does_not_tell_why_a_token_is_refused(client: Client, clara: User):
    ended, _ = issue_token(clara, days=-1)
    bodies = set()
    for token in (ended, "0" * 64, "nonsense"):
        response = get(client, f"Bearer {token}")
        assert_401(response)
        bodies.add(response.content.replace(response["X-Request-Id"].encode(), b""))
    assert len(bodies) == 1


def test_a_token_is_kept_only_as_its_hash(clara: User):
    token, _ = issue_token(clara)
    [record] = AuthToken.objects.values()
    assert token not in str(record)


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": True}, {"is_superuser": True}])
def test_a_token_ends_when_its_user_is_locked_out_or_becomes_staff(client: Client, clara: User, change):
    token, _ = issue_token(clara)
    User.objects.update(**change)
    assert_401(get(client, f"Bearer {token}"))


def test_a_token_without_an_end_lets_nobody_in(client: Client, clara: User):
    token, _ = issue_token(clara)
    AuthToken.objects.update(expiry=None)
    assert_401(get(client, f"Bearer {token}"))


def test_a_session_of_a_client_counts_with_csrf_enforced(clara: User):
    client = Client(enforce_csrf_checks=True)
    client.force_login(clara)
    assert client.get("/api/client").json()["user"] == "clara@example.com"

    refused = client.post("/api/client")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "FORBIDDEN")

    client.cookies["csrftoken"] = "a" * 32
    allowed = client.post("/api/client", {}, content_type="application/json", headers={"X-CSRFToken": "a" * 32})
    assert allowed.json()["user"] == "clara@example.com"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [("application/json", 403), ("application/x-www-form-urlencoded", 415), ("multipart/form-data; boundary=x", 415)],
)
def test_a_forged_request_over_a_session_is_refused(clara: User, content_type, status):
    client = Client(enforce_csrf_checks=True)
    client.force_login(clara)
    client.cookies["csrftoken"] = "a" * 32
    assert client.post("/api/client", b"{}", content_type=content_type).status_code == status


@pytest.mark.parametrize("role", ["is_staff", "is_superuser"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_session_of_staff_is_nobodys(role, method):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create(username="staff@example.com", **{role: True}))
    assert_401(getattr(client, method)("/api/client"))


def test_a_token_wins_over_the_session_of_a_staff_user(client: Client, clara: User):
    client.force_login(User.objects.create(username="staff@example.com", is_staff=True))
    token, _ = issue_token(clara)
    assert get(client, f"Bearer {token}").json()["user"] == "clara@example.com"
