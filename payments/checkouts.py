"""Opening a checkout because somebody asks for one: the API, the pay link, staff."""

import time
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet

from api.calling import CallFailed, Deadline, Refused
from api.errors import ApiError, BookingConflict, PaymentFailed, SessionExpired, StripeApiError
from bookings.facts import CheckoutStatus, IntentKind, Outcome, Verdict
from bookings.lifecycle import new_checkout
from bookings.locked import Cause, LockedFlow
from bookings.models import Booking, Intent
from bookings.neighbours import neighbours_of
from payments import acting
from payments.loading import flow_facts
from payments.models import Checkout
from payments.settlement import settle, settled_flow, write_intent

SECONDS_FOR_STRIPE = 8.0
"""For a call made inside a request, all its tries together."""
STALE_AFTER = timedelta(seconds=10)
GLANCE = 0.1
"""Seconds between looks at an answer that somebody else is waiting for."""


def pay_url(booking_id: str) -> str:
    """Our own page that opens the checkout; the id is the key."""
    return f"{settings.PUBLIC_URL}/pay/{booking_id}"


def payment_url(booking: Booking) -> str:
    """Where to pay for a payable booking: the checkout if it is open, else our page."""
    url = open_checkouts(booking.flow_id).values_list("url", flat=True).first()
    return url or pay_url(booking.id)


def open_checkouts(flow_id: str) -> QuerySet[Checkout]:
    """The checkouts of a flow that can be paid at, the first one first."""
    return Checkout.objects.filter(flow_id=flow_id, status=CheckoutStatus.OPEN).exclude(url="").order_by("recorded_at")


def request_checkout(
    booking: Booking, cause: Cause, *, return_url: str = "", cancel_url: str = ""
) -> tuple[Checkout, Verdict]:
    """The open checkout of a booking's flow: the one there is, or a new one, opened at Stripe within 8 s.

    Two calls at once get the same (R8). Raises SessionExpired after the hold, the end or the start; BookingConflict
    with `details.reason` where there is nothing to pay; PaymentFailed or StripeApiError if Stripe says no or nothing.
    """
    deadline = Deadline(SECONDS_FOR_STRIPE)
    while True:
        with settled_flow(booking.flow_id, cause) as flow:
            verdict = settle(flow)
            _refuse_unless_payable(flow, booking.id, verdict)
            _keep_urls(flow, return_url, cancel_url)
            checkout = open_checkouts(flow.id).first()
            intent = None if checkout else _lease(flow)
        if checkout:
            return checkout, verdict
        failure = acting.make_call(intent, deadline) if intent else None
        if failure or deadline.left() <= GLANCE:
            raise _error_of(failure)
        if intent is None:
            time.sleep(GLANCE)  # somebody else is making this very call
        # Else it is open now, or would have ended too soon and was planned anew.


def _lease(flow: LockedFlow) -> Intent | None:
    """The intent to open a checkout, leased to us; None if somebody else holds the lease."""
    lease_until = flow.now + acting.LEASE
    intent = Intent.objects.filter(flow=flow.row, kind=IntentKind.OPEN_CHECKOUT, outcome=Outcome.OPEN).first()
    if intent is None:
        new = new_checkout(flow_facts(flow), flow.now)
        if new is None:
            return None
        intent = write_intent(flow, new, lease_until=lease_until)
    elif intent.lease_until and intent.lease_until > flow.now:
        return None
    intent.started_at, intent.lease_until = intent.started_at or flow.now, lease_until
    intent.save()
    return intent


def _refuse_unless_payable(flow: LockedFlow, booking_id: str, verdict: Verdict) -> None:
    """Say why a booking cannot be paid for (DESIGN 6.9)."""
    booking = next(one for one in flow.bookings if one.id == booking_id)
    if verdict.bookings[booking_id].row == "B1" and not verdict.decision:
        after = neighbours_of(flow.bookings).get(booking_id, (None, None))[1]
        details = {"reason": "rescheduled", "rescheduledTo": after}
        raise BookingConflict("This booking was rescheduled.", details=details)
    if verdict.payable:
        return
    owed = verdict.captured < verdict.due
    hold_over = owed and verdict.hold_ends_at is not None and flow.now >= verdict.hold_ends_at
    started = owed and booking.start is not None and flow.now >= booking.start
    if verdict.decision or hold_over or started:
        raise SessionExpired
    if booking.invitee_id is None:
        raise BookingConflict("Calendly has not told us of this booking yet.", details={"reason": "unseen"})
    if verdict.due == 0:
        raise BookingConflict("There is nothing to pay.", details={"reason": "free"})
    if not owed:
        raise BookingConflict("It is paid.", details={"reason": "paid"})
    raise BookingConflict(details={"reason": "not payable"})


def _keep_urls(flow: LockedFlow, return_url: str, cancel_url: str) -> None:
    """Where the client wants to go on to; what was given last counts, also for a checkout that is open already."""
    if return_url or cancel_url:
        flow.row.return_url, flow.row.cancel_url = return_url, cancel_url
        flow.row.save(update_fields=["return_url", "cancel_url"])


def _error_of(failure: CallFailed | None) -> ApiError:
    if isinstance(failure, Refused) and failure.status == 402:
        return PaymentFailed()
    return StripeApiError()


def read_again(session_id: str, cause: Cause) -> None:
    """Read a checkout that we hold open from Stripe, at most every 10 s; what it says is recorded.

    A failure changes nothing: the caller answers with what is known.
    """
    acting.read_checkout_now(session_id, cause, Deadline(SECONDS_FOR_STRIPE / 2), STALE_AFTER)
