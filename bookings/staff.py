"""Who of the staff is asking, what they may do, and what they must say.

The functions that staff call (`payments/requests.py` and its neighbours) ask here first; the pages that call them show
the same refusals. Permissions are Django's own, granted to roles; a superuser has them all.
"""

from dataclasses import dataclass
from typing import NoReturn

from django.contrib.auth.models import User

from api.errors import BookingConflict, Forbidden, InvalidRequest
from bookings.locked import Cause

CANCEL_BOOKING = "bookings.cancel_booking"
LINK_BOOKING = "bookings.link_booking"
NOTE_NO_SHOW = "bookings.note_no_show"
REREAD_BOOKING = "bookings.reread_booking"
RESOLVE_ATTENTION = "bookings.resolve_attention"
ISSUE_REFUND = "payments.issue_refund"
APPROVE_REFUND = "payments.approve_refund"
WAIVE_PAYMENT = "payments.waive_payment"
RESOLVE_PAYMENT = "payments.resolve_payment"

LONGEST_REASON = 1000
"""Characters, as the columns that keep it."""


@dataclass(frozen=True, slots=True)
class Staff:
    """A member of the staff who presses a button, in one request."""

    user: User
    request_id: str

    def needs(self, *permissions: str) -> None:
        """Raise Forbidden unless they have every one of these."""
        if not (self.user.is_staff and self.user.has_perms(permissions)):
            raise Forbidden("Your role does not allow this.", details={"permissions": list(permissions)})

    @property
    def cause(self) -> Cause:
        """The request as the cause of what it changes."""
        return Cause.request(self.request_id, "staff", self.user.pk)


def checked_reason(said: str) -> str:
    """What staff say for the timeline. Raises InvalidRequest if it is empty, too long, or no text for PostgreSQL."""
    said = said.strip()
    if not said or len(said) > LONGEST_REASON or "\x00" in said:
        raise InvalidRequest(f"A reason of up to {LONGEST_REASON} characters is needed.")
    return said


def refuse(message: str, reason: str) -> NoReturn:
    """What is asked for cannot be done as things stand: raises BookingConflict, with a word for programs."""
    raise BookingConflict(message, details={"reason": reason})
