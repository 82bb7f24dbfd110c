"""Imports of Django's models stay inside the fixtures: this file is read before Django is set up."""

from typing import TYPE_CHECKING

import pytest
from django.test import Client

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PASSWORD = "correct horse battery staple"


@pytest.fixture
def clara(db: None, settings) -> "User":
    """A client who can sign in, quickly hashed."""
    from django.contrib.auth.models import User

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_user("clara@example.com", "clara@example.com", PASSWORD)


@pytest.fixture
def quiet_client() -> Client:
    """Returns the answer to a request that failed, as a server does, instead of raising the error in the test."""
    return Client(raise_request_exception=False)


@pytest.fixture(autouse=True)
def _nothing_accepted_yet() -> None:
    from api.tests import doors

    doors.accepted.clear()
