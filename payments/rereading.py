"""Reading all of a flow back from both providers, for staff who press the button (LIFECYCLE 3: objects are the truth).

What is read is recorded as a webhook's news would be, by the same functions. Reading needs no intent: it changes
nothing at the providers.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from api.calling import CallFailed, Deadline, Refused
from api.errors import CalendlyApiError, StripeApiError
from bookings import calendly_api
from bookings.locked import Cause, LockedFlow
from bookings.models import Booking, BookingFlow
from bookings.records import record_event, record_gone, record_invitee
from bookings.staff import REREAD_BOOKING, Staff
from payments import stripe_api
from payments.models import Checkout, Payment
from payments.records import record_checkout, record_dispute, record_payment, record_refund
from payments.settlement import settled_flow
from payments.storing import store_event

SECONDS_FOR_PROVIDERS = 8.0
"""For all reads together."""
LONGEST_CHAIN = 50
"""Reschedules that are followed in one go."""

Record = Callable[[LockedFlow], object]


def request_reread(flow: BookingFlow, staff: Staff) -> None:
    """Read a flow's bookings and money back from Calendly and Stripe, within 8 s.

    Raises CalendlyApiError or StripeApiError if one of them did not answer; what was read until then is recorded.
    """
    staff.needs(REREAD_BOOKING)
    deadline = Deadline(SECONDS_FOR_PROVIDERS)
    unseen = Booking.objects.filter(flow=flow, invitee_id=None).exclude(claimed_invitee_id="").first()
    if unseen:
        addresses = {"event_uri": unseen.event_uri, "invitee_uri": unseen.invitee_uri}
        store_event(flow.pk, staff.cause, **addresses, start=None, phone="", notes="")
    stripe_answered = _recorded(_told_by_stripe(flow.pk, deadline), flow.pk, staff.cause)
    if not _recorded(_told_by_calendly(flow.pk, deadline), flow.pk, staff.cause):
        raise CalendlyApiError
    if not stripe_answered:
        raise StripeApiError


def _recorded(told: Iterator[Record], flow_id: str, cause: Cause) -> bool:
    """Read on while the provider answers, and record it all under one lock; whether it answered to the end."""
    records: list[Record] = []
    try:
        for record in told:
            records.append(record)
        answered = True
    except CallFailed:
        answered = False
    with settled_flow(flow_id, cause) as flow:
        for record in records:
            record(flow)
    return answered


def _told_by_stripe(flow_id: str, deadline: Deadline) -> Iterator[Record]:
    for session_id in list(Checkout.objects.filter(flow=flow_id).values_list("pk", flat=True)):
        checkout = stripe_api.read_checkout(session_id, deadline=deadline)
        yield partial(record_checkout, seen=checkout, read=True)
    for payment_intent_id in list(Payment.objects.filter(flow=flow_id).values_list("pk", flat=True)):
        payment = stripe_api.read_payment(payment_intent_id, deadline=deadline)
        yield partial(record_payment, seen=payment, read=True)
        for refund in stripe_api.list_refunds(payment_intent_id, deadline=deadline):
            yield partial(record_refund, seen=refund)
        for dispute in stripe_api.list_disputes(payment_intent_id, deadline=deadline):
            yield partial(record_dispute, seen=dispute)


def _told_by_calendly(flow_id: str, deadline: Deadline) -> Iterator[Record]:
    """The bookings, and those before and after them in a reschedule of which we had not heard."""
    seen = Booking.objects.filter(flow=flow_id).exclude(invitee_id=None)
    waiting = [(str(invitee_id), event_id) for invitee_id, event_id in seen.values_list("invitee_id", "event_id")]
    for invitee_id, event_id in waiting:  # which grows on the way
        try:
            event = calendly_api.get_scheduled_event(event_id, deadline=deadline)
            invitee = calendly_api.get_invitee(event_id, invitee_id, deadline=deadline)
        except Refused as refusal:
            if refusal.status != 404:
                raise
            yield partial(record_gone, event_id=event_id)
            continue
        yield partial(record_invitee, invitee=replace(invitee, scheduled_event=event))
        yield partial(record_event, event=event)
        before, after = (invitee.old_invitee_id, invitee.old_event_id), (invitee.new_invitee_id, invitee.new_event_id)
        for next_id, next_event in (before, after):
            new = next_id and next_event and (next_id, next_event) not in waiting and len(waiting) < LONGEST_CHAIN
            if new and not Booking.objects.filter(invitee_id=next_id).exists():
                waiting.append((str(next_id), str(next_event)))
