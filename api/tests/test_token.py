from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.test import Client
from knox.models import AuthToken

from api.accounts import issue_token
from api.tests.conftest import PASSWORD


class CountingHasher(MD5PasswordHasher):
    """Counts how often a password is hashed."""

    count: ClassVar[int] = 0

    def encode(self, password: str, salt: str) -> str:
        CountingHasher.count += 1
        return super().encode(password, salt)


def ask(client: Client, email: str = "clara@example.com", password: str = PASSWORD, **more):
    return client.post(
        "/api/auth/token", {"email": email, "password": password}, content_type="application/json", **more
    )


def assert_refused(response):
    assert (response.status_code, response.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
    assert AuthToken.objects.count() == 0


def test_the_right_password_gets_a_token_for_thirty_days(client: Client, clara: User):
    response = ask(client)
    assert response.status_code == 200
    body = response.json()
    assert body.keys() == {"success", "token", "expiresAt"}
    assert body["success"] is True
    left = datetime.fromisoformat(body["expiresAt"]) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
    assert response["Cache-Control"] == "no-store"

    bearer = {"Authorization": f"Bearer {body['token']}"}
    assert client.delete("/api/auth/token", headers=bearer).json() == {"success": True}


def test_an_email_address_is_the_same_in_any_case(client: Client, clara: User):
    assert ask(client, email="Clara@Example.COM").status_code == 200


def test_an_ended_token_in_the_headers_does_not_keep_out(client: Client, clara: User):
    assert ask(client, headers={"Authorization": "Bearer nonsense"}).status_code == 200


def test_an_unknown_address_and_a_wrong_password_are_answered_alike(client: Client, clara: User, settings):
    settings.PASSWORD_HASHERS = ["api.tests.test_token.CountingHasher"]
    clara.set_password(PASSWORD)
    clara.save()
    seen = set()
    for email, password in (("clara@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("not an address", "x")):
        CountingHasher.count = 0
        response = ask(client, email, password)
        assert_refused(response)
        seen.add((response.content.replace(response["X-Request-Id"].encode(), b""), CountingHasher.count))
    assert len(seen) == 1


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": True}, {"is_superuser": True}])
def test_staff_and_the_locked_out_get_no_token(client: Client, clara: User, change):
    User.objects.update(**change)
    assert_refused(ask(client))


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"email", "password"}),
        ({"email": "a@example.com"}, {"password"}),
        ({"email": 1, "password": True}, {"email", "password"}),
        ({"email": None, "password": []}, {"email", "password"}),
        ({"email": "clara@example.com", "password": PASSWORD, "is_staff": True}, {"is_staff"}),
        ({"email": "x" * 255, "password": "x" * 4097}, {"email", "password"}),
    ],
)
def test_a_wrong_body_is_told_field_by_field(client: Client, clara: User, body, fields):
    response = client.post("/api/auth/token", body, content_type="application/json")
    assert response.status_code == 400
    assert response.json()["error"]["details"]["fields"].keys() == fields
    assert AuthToken.objects.count() == 0


def test_signing_out_ends_this_token_and_no_other(client: Client, clara: User):
    first, second = issue_token(clara)[0], issue_token(clara)[0]
    headers = {"Authorization": f"Bearer {first}"}
    assert client.delete("/api/auth/token", headers=headers).json() == {"success": True}
    assert client.delete("/api/auth/token", headers=headers).status_code == 401
    assert client.delete("/api/auth/token", headers={"Authorization": f"Bearer {second}"}).status_code == 200


def test_a_session_is_no_token_to_sign_out(client: Client, clara: User):
    client.force_login(clara)
    assert client.delete("/api/auth/token").status_code == 401


@pytest.mark.parametrize("method", ["get", "put", "patch"])
def test_other_methods_are_not_allowed(client: Client, method):
    response = getattr(client, method)("/api/auth/token")
    assert (response.status_code, response.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")


def test_health_needs_no_database(client: Client):
    # Without the `db` fixture any statement would fail this test.
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
