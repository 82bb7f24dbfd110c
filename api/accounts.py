"""Who may use the API. A person is a Django user whose user name is the e-mail address in lower case."""

from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from knox.models import AuthToken

TOKEN_DAYS = 30


def username_of(email: str) -> str:
    """The user name that belongs to this e-mail address."""
    return email.lower()


def user_of(email: str) -> User:
    """The user with this e-mail address, made if needed, then without a password."""
    name = username_of(email)
    user, _ = User.objects.get_or_create(username=name, defaults={"email": name, "password": make_password(None)})
    return user


def may_use_api(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether this user is let in by token or session.

    Never staff: the API acts for clients, and what staff may do must not hang on a secret that lies in a script for
    a month and passes by the second factor of the admin.
    """
    return isinstance(user, User) and user.is_active and not user.is_staff and not user.is_superuser


def issue_token(user: User, *, days: int = TOKEN_DAYS) -> tuple[str, datetime]:
    """A new API token and when it ends. The token is shown this once: the database keeps its hash."""
    record, token = AuthToken.objects.create(user=user, expiry=timedelta(days=days))
    return token, record.expiry
