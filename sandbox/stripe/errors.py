"""Stripe's errors, in Stripe's words and statuses (https://docs.stripe.com/api/errors)."""

from sandbox.state import Json

ERROR_CODES_PAGE = "https://docs.stripe.com/error-codes/"


class StripeError(Exception):
    """A refusal, as Stripe answers it.

    `ran` says whether the call had begun to run when it was refused: then the refusal is kept under the caller's
    idempotency key. What is refused while the parameters are looked at is not kept.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        ran: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.ran = ran
        about = {"code": code, "doc_url": code and ERROR_CODES_PAGE + code.replace("_", "-"), "param": param}
        self.body: Json = {
            "error": {"message": message, "type": kind} | {key: value for key, value in about.items() if value}
        }


def no_such(thing: str, its_id: str, *, param: str = "id", status: int = 404) -> StripeError:
    """An id that names nothing; 404 where it is in the path, 400 where a parameter only mentions it."""
    return StripeError(f"No such {thing}: '{its_id}'", status=status, code="resource_missing", param=param)


def not_here(what: str, param: str | None = None) -> StripeError:
    """What Stripe can do and the sandbox cannot: said plainly, so that nobody mistakes it for Stripe's refusal."""
    return StripeError(f"The local sandbox does not do this, although Stripe does: {what}.", param=param)
