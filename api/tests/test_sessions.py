"""A session cookie that cannot be one of ours is nobody's session."""

import pytest
from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("key", ['"\\000aaaaaaaaaaaa"', "aaaaaaaa-aaaa", "aaaaaaaaéaaa", "a" * 10_000])
def test_a_cookie_that_is_no_key_is_nobody(client, key):
    answer = client.get("/api/auth/token", headers={"cookie": f"sessionid={key}"})
    assert answer.status_code == 405
    assert client.get("/admin/", headers={"cookie": f"sessionid={key}"}).status_code == 302


def test_a_session_of_ours_still_signs_in(client):
    user = User.objects.create_superuser("staff@example.com", "staff@example.com", "a-long-password")
    client.force_login(user)
    assert client.get("/admin/").status_code == 200
