from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken

pytestmark = [pytest.mark.urls("api.tests.doors"), pytest.mark.django_db]


@pytest.fixture
def act_for_clients() -> Permission:
    """The permission of `bookings`, also where this app's tests run without it."""
    about, _ = ContentType.objects.get_or_create(app_label="bookings", model="client")
    permission, _ = Permission.objects.get_or_create(content_type=about, codename="act_for_clients")
    return permission


def run(capsys, *arguments: str):
    call_command("create_token", *arguments)
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def test_it_prints_a_working_token_and_nothing_else(client: Client, capsys):
    printed = run(capsys, "Clara@Example.com")
    token = printed.removesuffix("\n")
    assert len(token) == 64
    response = client.get("/api/client", headers={"Authorization": f"Bearer {token}"})
    assert response.json()["user"] == "clara@example.com"


def test_the_user_it_makes_cannot_sign_in_by_password(capsys):
    run(capsys, "clara@example.com")
    user = User.objects.get()
    assert not user.has_usable_password()
    assert not user.has_perm("bookings.act_for_clients")


def test_it_takes_the_user_who_is_there(clara: User, capsys):
    password = clara.password
    run(capsys, "CLARA@example.com")
    run(capsys, "clara@example.com")
    assert User.objects.get().password == password
    assert AuthToken.objects.count() == 2


def test_the_days_can_be_chosen(capsys):
    run(capsys, "clara@example.com", "--days", "3")
    left = AuthToken.objects.get().expiry - timezone.now()
    assert timedelta(days=2, hours=23) < left <= timedelta(days=3)


def test_a_back_end_may_act_for_clients(act_for_clients, capsys):
    run(capsys, "shop@example.com", "--back-end")
    assert User.objects.get().has_perm("bookings.act_for_clients")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nobody"],
        ["a@example.com\x00"],
        [f"{'x' * 60}@{'y.' * 60}example.com"],
        ["a@example.com", "--days", "0"],
        ["a@example.com", "--days", "4000"],
        ["a@example.com", "--days", "x"],
    ],
)
def test_nonsense_is_refused_and_makes_nothing(arguments):
    with pytest.raises(CommandError):
        call_command("create_token", *arguments)
    assert not User.objects.exists()


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": True}, {"is_superuser": True}])
def test_staff_and_the_locked_out_get_no_token(clara: User, change):
    User.objects.update(**change)
    with pytest.raises(CommandError, match="staff or not active"):
        call_command("create_token", "clara@example.com")
    assert not AuthToken.objects.exists()
