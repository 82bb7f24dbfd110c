"""Every error that the API can answer with, and the one place that turns an exception into an answer.

The rest of the project raises these by name; the HTTP numbers and the JSON shape (contract section 4, DESIGN
section 6, point 10) are known here only.
"""

import logging
import math
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from procrastinate.exceptions import ConnectorException
from rest_framework import exceptions as drf

logger = logging.getLogger(__name__)


class ApiError(Exception):
    """An answer that says no. `message` is for a person, `details` for the calling program."""

    code: ClassVar[str]
    status: ClassVar[int]
    default_message: ClassVar[str]
    default_retry_after: ClassVar[float | None] = None
    """Seconds after which asking again may help."""

    def __init__(
        self, message: str = "", *, details: Mapping[str, Any] | None = None, retry_after: float | None = None
    ) -> None:
        self.message = message or self.default_message
        self.details = dict(details or {})
        self.retry_after = self.default_retry_after if retry_after is None else retry_after
        super().__init__(self.message)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that belong to this answer."""
        return {} if self.retry_after is None else {"Retry-After": str(math.ceil(self.retry_after))}


# The ten of the contract.


class InvalidRequest(ApiError):
    code, status = "INVALID_REQUEST", 400
    default_message = "The request is not valid."


class BookingNotFound(ApiError):
    """No such booking or flow, or not one of theirs: raised bare in both cases, so that the answers are equal."""

    code, status = "BOOKING_NOT_FOUND", 404
    default_message = "There is no such booking."


class CalendlyApiError(ApiError):
    code, status = "CALENDLY_API_ERROR", 502
    default_message = "Calendly did not give a usable answer."
    default_retry_after = 5


class StripeApiError(ApiError):
    code, status = "STRIPE_API_ERROR", 502
    default_message = "Stripe did not give a usable answer."
    default_retry_after = 5


class WebhookVerificationFailed(ApiError):
    code, status = "WEBHOOK_VERIFICATION_FAILED", 400
    default_message = "The webhook's signature could not be verified."


class SessionExpired(ApiError):
    code, status = "SESSION_EXPIRED", 410
    default_message = "The time to pay for this booking is over."


class PaymentFailed(ApiError):
    code, status = "PAYMENT_FAILED", 402
    default_message = "The payment failed."


class RefundFailed(ApiError):
    code, status = "REFUND_FAILED", 502
    default_message = "The refund failed. Staff have been told."


class BookingConflict(ApiError):
    code, status = "BOOKING_CONFLICT", 409
    default_message = "The booking is in a state in which this cannot be done."


class InternalError(ApiError):
    code, status = "INTERNAL_ERROR", 500
    default_message = "Something went wrong on our side. The request id finds it in our logs."


# Ours.


class Unauthenticated(ApiError):
    code, status = "UNAUTHENTICATED", 401
    default_message = "A valid token or session is needed."

    @property
    def headers(self) -> dict[str, str]:
        return {**super().headers, "WWW-Authenticate": "Bearer"}


class Forbidden(ApiError):
    code, status = "FORBIDDEN", 403
    default_message = "This is not allowed."


class NotFound(ApiError):
    code, status = "NOT_FOUND", 404
    default_message = "There is nothing here."


class MethodNotAllowed(ApiError):
    code, status = "METHOD_NOT_ALLOWED", 405
    default_message = "This address does not answer this method."


class NotAcceptable(ApiError):
    code, status = "NOT_ACCEPTABLE", 406
    default_message = "Answers are application/json; the Accept header does not allow it."


class PayloadTooLarge(ApiError):
    code, status = "PAYLOAD_TOO_LARGE", 413
    default_message = "The body is too large."


class UnsupportedMediaType(ApiError):
    code, status = "UNSUPPORTED_MEDIA_TYPE", 415
    default_message = "The body must be application/json in UTF-8."


class IdempotencyKeyReused(ApiError):
    code, status = "IDEMPOTENCY_KEY_REUSED", 422
    default_message = "This idempotency key was used with another request."


class IdempotencyInProgress(ApiError):
    code, status = "IDEMPOTENCY_IN_PROGRESS", 409
    default_message = "The first request with this idempotency key is still being worked on."


class RateLimited(ApiError):
    code, status = "RATE_LIMITED", 429
    default_message = "Too many requests."


class ServiceUnavailable(ApiError):
    code, status = "SERVICE_UNAVAILABLE", 503
    default_message = "The service cannot answer at the moment."
    default_retry_after = 5


def envelope(error: ApiError, request_id: str) -> dict[str, Any]:
    """The JSON of an error (contract section 4.1)."""
    return {
        "success": False,
        "error": {
            "code": error.code,
            "message": error.message,
            "details": {**error.details, "requestId": request_id},
        },
    }


def answer(error: ApiError, request: HttpRequest) -> JsonResponse:
    """The HTTP answer that tells of this error."""
    return JsonResponse(envelope(error, request_id_of(request)), status=error.status, headers=error.headers)


def answer_to(exception: Exception, request: HttpRequest) -> JsonResponse:
    """The answer to a request that ended in this exception. A surprise is logged with its traceback."""
    error = as_api_error(exception)
    if error.status >= 500 and error is not exception:
        log_surprise(error, request, exception)
    return answer(error, request)


def log_surprise(error: ApiError, request: HttpRequest, exception: Exception | None = None) -> None:
    """Write the line by which the request id of an answer finds its cause."""
    where = (request.method, request.path, error.code, request_id_of(request))
    logger.error("%s %r ended in %s, request %s", *where, exc_info=exception)


def request_id_of(request: HttpRequest) -> str:
    """The id that RequestIdMiddleware gave this request."""
    return getattr(request, "request_id", "")


def exception_handler(exception: Exception, context: dict[str, Any]) -> JsonResponse:
    """What Django REST framework calls (setting `EXCEPTION_HANDLER`) for whatever a view raised."""
    return answer_to(exception, context["request"])


def as_api_error(exception: Exception) -> ApiError:
    """Ours for any exception: of ours, of the framework's, of Django's. What we do not know is an InternalError."""
    match exception:
        case ApiError():
            return exception
        case drf.ValidationError(detail=dict()):
            return InvalidRequest(details={"fields": exception.detail})
        case drf.ValidationError():
            return InvalidRequest(details={"fields": {"non_field_errors": exception.detail}})
        case drf.ParseError():
            return InvalidRequest(str(exception.detail))
        case drf.NotAuthenticated() | drf.AuthenticationFailed():
            return Unauthenticated()
        case drf.PermissionDenied():
            return Forbidden(str(exception.detail))
        case PermissionDenied():
            return Forbidden()
        case drf.NotFound() | Http404():
            # Never with the exception's own text: it may tell an unknown id from a foreign one.
            return NotFound()
        case drf.MethodNotAllowed():
            return MethodNotAllowed()
        case drf.NotAcceptable():
            return NotAcceptable()
        case drf.UnsupportedMediaType():
            return UnsupportedMediaType()
        case drf.Throttled():
            return RateLimited(retry_after=exception.wait)  # type: ignore[attr-defined]  # the stubs lack it
        case RequestDataTooBig():
            return PayloadTooLarge()
        case SuspiciousOperation() | BadRequest() | MultiPartParserError() | UnreadablePostError():
            return InvalidRequest()
        case OperationalError() | InterfaceError() | ConnectorException():
            # The database is away, restarting or overloaded: nothing is known to be wrong with the request.
            return ServiceUnavailable()
        case _:
            return InternalError()


def error_of_status(status: int) -> ApiError:
    """The error that says what a bare HTTP status says, for answers that Django made without asking us."""
    if status in _GENERAL:
        return _GENERAL[status]()
    return InvalidRequest() if status < 500 else InternalError()


_GENERAL: dict[int, type[ApiError]] = {
    error.status: error
    for error in (
        Unauthenticated,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        NotAcceptable,
        PayloadTooLarge,
        UnsupportedMediaType,
        RateLimited,
        ServiceUnavailable,
    )
}
