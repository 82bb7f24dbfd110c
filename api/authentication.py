"""How a request says who is asking: a token of ours, or the session of our own pages (DESIGN section 6, point 11)."""

import re
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, User
from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from api.accounts import may_use_api

_TOKEN = re.compile(rb"[0-9a-f]{64}")


class BearerTokenAuthentication(TokenAuthentication):  # type: ignore[misc]  # knox is untyped
    """`Authorization: Bearer <token>`. knox makes and hashes the tokens; they are looked up in one statement here.

    knox's own look-up reads all tokens of the user and deletes the expired ones on the way, in a GET as well.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[User, AuthToken]:
        if not _TOKEN.fullmatch(token):
            raise AuthenticationFailed
        alive = AuthToken.objects.select_related("user").filter(expiry__gt=timezone.now())
        record = alive.filter(digest=hash_token(token.decode())).first()
        if record is None or not may_use_api(record.user):
            raise AuthenticationFailed
        return record.user, record


class ClientSessionAuthentication(SessionAuthentication):
    """A Django session with CSRF enforced. Staff who are signed in to the admin are nobody here."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, Any] | None:
        if not may_use_api(request._request.user):
            return None
        return super().authenticate(request)
