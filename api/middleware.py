"""A request id on every answer, and the error envelope on every error under /api, whoever made it."""

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from api import errors

GetResponse = Callable[[HttpRequest], HttpResponse]

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


class RequestIdMiddleware:
    """Gives every request an id: `request.request_id`, and `X-Request-Id` on the answer.

    A caller's own X-Request-Id is taken over if it is harmless in a log line, else replaced.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-Id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]  # ours, on Django's request
        response = self.get_response(request)
        response.headers["X-Request-Id"] = request_id
        return response


class EnvelopeMiddleware:
    """Puts every error under /api into the contract's envelope, with DEBUG on as well as off.

    Django REST framework's errors come here as JSON already (`api.errors.exception_handler`). What is left is what
    plain views raise, and the pages that Django makes itself: no such URL, a bad Host header, a failed CSRF check,
    an exception in a middleware. Other paths keep Django's pages.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        if _is_api(request) and response.status_code >= 400 and not is_json:
            self._rewrite(request, response)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer for a plain view that raised. Other paths are left to Django."""
        return errors.answer_to(exception, request) if _is_api(request) else None

    def _rewrite(self, request: HttpRequest, response: HttpResponse) -> None:
        """Make Django's page our JSON, in place: its other headers (Allow, the security headers) still hold."""
        error = errors.error_of_status(response.status_code)
        if error.status >= 500:
            # Django has logged the traceback; this adds the request id.
            errors.log_surprise(error, request)
        answer = errors.answer(error, request)
        response.status_code = answer.status_code
        response.content = answer.content
        response.headers.pop("Content-Length", None)
        for name, value in answer.items():
            response.headers[name] = value


def _is_api(request: HttpRequest) -> bool:
    return request.path_info == "/api" or request.path_info.startswith("/api/")
