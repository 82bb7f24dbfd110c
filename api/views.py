"""The doors that belong to no other app: API tokens, and whether the process is alive."""

from typing import Any

from django.contrib.auth import authenticate
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.accounts import issue_token, may_use_api, username_of
from api.authentication import BearerTokenAuthentication
from api.errors import Unauthenticated
from api.serializers import StrictSerializer, TextField, UtcDateTimeField


class CredentialsSerializer(StrictSerializer):
    """What a client signs in with."""

    email = TextField(max_length=254)
    password = TextField(max_length=4096)


class TokenView(APIView):
    """`/api/auth/token`: POST e-mail and password for a token, DELETE the token that the request came with."""

    def get_authenticators(self) -> list[BaseAuthentication]:
        # A client whose token has ended asks for a new one with the old one still in its headers.
        return [BearerTokenAuthentication()] if self.request.method == "DELETE" else []

    def get_permissions(self) -> list[BasePermission]:
        return [IsAuthenticated()] if self.request.method == "DELETE" else [AllowAny()]

    def post(self, request: Request) -> Response:
        credentials = CredentialsSerializer(data=request.data)
        credentials.is_valid(raise_exception=True)
        email, password = credentials.validated_data["email"], credentials.validated_data["password"]
        # Django runs the hasher for an unknown user as well, so the time tells nothing either.
        user = authenticate(request, username=username_of(email), password=password)
        if user is None or not may_use_api(user):
            raise Unauthenticated("The e-mail address and the password do not match.")
        token, expires_at = issue_token(user)
        return Response(
            {"success": True, "token": token, "expiresAt": UtcDateTimeField().to_representation(expires_at)},
            headers={"Cache-Control": "no-store"},
        )

    def delete(self, request: Request) -> Response:
        auth: Any = request.auth
        auth.delete()
        return Response({"success": True})


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Whether this process answers. It asks nobody else; `/readyz` does."""
    return JsonResponse({"status": "ok"})
