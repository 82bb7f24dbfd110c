"""Addresses that exist only in tests: one strict door, one for signed-in clients, and views that go wrong.

Use with `pytest.mark.urls("api.tests.doors")`. The service's own addresses are here as well.
"""

from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_POST
from rest_framework import exceptions as drf
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import errors
from api.serializers import IdField, StrictSerializer, TextField, TrueOrFalseField, UtcDateTimeField

accepted: list[dict[str, Any]] = []
"""What got through the strict door. A fixture empties it."""

SURPRISE = "the password is swordfish"
RAISED: dict[str, Exception] = {
    "surprise": RuntimeError(SURPRISE),
    "drf-surprise": drf.APIException(SURPRISE),
    "recursion": RecursionError(SURPRISE),
    "http404": Http404("No Booking of somebody else matches"),
    "drf-not-found": drf.NotFound("No Booking of somebody else matches"),
    "django-denied": PermissionDenied(),
    "drf-denied": drf.PermissionDenied(),
    "too-big": RequestDataTooBig("x"),
    "suspicious": SuspiciousOperation("x"),
    "database": OperationalError("server closed the connection unexpectedly"),
    "throttled": drf.Throttled(wait=7.2),
    "ours": errors.BookingConflict("It is over.", details={"reason": "started"}),
    "ours-later": errors.StripeApiError(retry_after=1.2),
    "unknown-booking": errors.BookingNotFound(),
}


class Person(StrictSerializer):
    name = TextField(max_length=10)


class Strict(StrictSerializer):
    text = TextField(max_length=20)
    id = IdField(required=False)
    flag = TrueOrFalseField(required=False)
    when = UtcDateTimeField(required=False)
    person = Person(required=False)


class StrictDoor(APIView):
    authentication_classes = []
    permission_classes = [AllowAny]

    def post(self, request: Request) -> Response:
        body = Strict(data=request.data)
        body.is_valid(raise_exception=True)
        accepted.append(body.validated_data)
        return Response({"success": True})


class ClientDoor(APIView):
    """As the service's own doors are by default: a signed-in client, by token or session."""

    def get(self, request: Request) -> Response:
        return Response({"user": request.user.get_username(), "search": request.query_params.get("q")})

    post = get


class RaisingDoor(APIView):
    authentication_classes = []
    permission_classes = [AllowAny]

    def get(self, request: Request, name: str) -> Response:
        raise RAISED[name]


@csrf_exempt
def plain_raising(request: HttpRequest, name: str) -> HttpResponse:
    raise RAISED[name]


@csrf_exempt
@require_POST
def plain_post_only(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


@csrf_protect
def plain_protected(request: HttpRequest) -> HttpResponse:
    return HttpResponse("done")


def identified(request: HttpRequest, an_id: str) -> HttpResponse:
    return HttpResponse(an_id)


class BrokenMiddleware:
    """A middleware that fails before any view is reached."""

    def __init__(self, get_response: Any) -> None:
        pass

    def __call__(self, request: HttpRequest) -> HttpResponse:
        raise RuntimeError(SURPRISE)


urlpatterns = [
    path("", include("config.urls")),
    path("api/strict", StrictDoor.as_view()),
    path("api/client", ClientDoor.as_view()),
    path("api/raising/<name>", RaisingDoor.as_view()),
    path("api/plain/<name>", plain_raising),
    path("api/post-only", plain_post_only),
    path("api/protected", plain_protected),
    path("api/ids/<id:an_id>", identified),
    path("page/<name>", plain_raising),
]
