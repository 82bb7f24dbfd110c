"""Making the calls that intents name: claim, call with no transaction open, record the answer (LIFECYCLE 6).

A claim is a lease on the row, taken under the flow's lock after asking once more whether the call is still wanted.
Whoever dies after it is followed, when the lease has run out, by a second try with the same idempotency key.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from api.calling import CallFailed, Deadline, Refused, Unavailable, Unknown
from bookings import calendly_api
from bookings.attention import raise_attention
from bookings.facts import AttentionKind, CheckoutStatus, IntentKind, Outcome
from bookings.locked import Cause, LockedFlow
from bookings.models import Intent
from bookings.quantities import Reading
from bookings.records import record_event, record_gone, record_invitee
from payments import jobs, stripe_api
from payments.loading import flow_facts
from payments.models import Checkout, Payment
from payments.records import close_intent, record_checkout, record_dispute, record_payment, record_refund
from payments.settlement import settle, settled_flow
from payments.stripe_objects import CheckoutSeen

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=2)
KEY_LIFE = timedelta(hours=24)
"""How long Stripe keeps an idempotency key at least."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(hours=1)
"""Between attempts; each attempt has the contract's tries inside it."""
SHORTEST_CHECKOUT = timedelta(minutes=30)
"""Stripe's own bound: a checkout that ends sooner is refused, so it is planned anew."""
UNKNOWN_KEY = 401
"""The HTTP status with which both providers say that they do not know our key."""
KEY_OF_OTHER_WORDS = "idempotency_error"
"""Stripe's word for a key under which we asked differently before (a setting changed since): perhaps that was done."""
OLD_VIEW = ("charge_already_refunded", "charge_disputed", "amount_too_large", "refund_amount_too_large")
"""Stripe's codes for refunds that show that we had not heard everything."""


def act(intent_id: str, deadline: Deadline | None = None) -> None:
    """Make the call that an intent names, if it is still wanted and nobody else is making it."""
    intent = claim(intent_id)
    if intent:
        make_call(intent, deadline)


def act_on_flow(flow_id: str, deadline: Deadline) -> None:
    """Make a flow's due calls, and those that their answers make due, as long as there is time.

    For a request whose answer depends on them; what is left is the worker's.
    """
    tried: set[str] = set()
    while deadline.left() > 0:
        due = _due(timezone.now()).filter(flow_id=flow_id).exclude(pk__in=tried).first()
        if due is None:
            return
        tried.add(due.id)
        act(due.id, deadline)


def claim(intent_id: str) -> Intent | None:
    """Take the lease on an intent that is due; None if it is not wanted, not due, or leased by somebody else."""
    flow_id = Intent.objects.filter(pk=intent_id, outcome=Outcome.OPEN).values_list("flow_id", flat=True).first()
    if flow_id is None:
        return None
    with settled_flow(flow_id, Cause.clock()) as flow:
        settle(flow)
        intent = Intent.objects.get(pk=intent_id)
        if not _claimable(flow, intent):
            return None
        intent.started_at = intent.started_at or flow.now
        intent.lease_until = flow.now + LEASE
        intent.save()
    return intent


def _claimable(flow: LockedFlow, intent: Intent) -> bool:
    leased = intent.lease_until is not None and intent.lease_until > flow.now
    if intent.outcome != Outcome.OPEN or leased or intent.next_at > flow.now:
        return False
    if intent.kind != IntentKind.REFUND:
        return True
    if intent.needs_approval and intent.approved_at is None:
        return False
    # How much goes back depends on when the money came, so that must be known from the charge itself.
    return not Payment.objects.filter(flow=flow.row, captured_minor__gt=0, provisional=True).exists()


def make_call(intent: Intent, deadline: Deadline | None = None) -> CallFailed | None:
    """Make the call of a leased intent and record how it ended; returns what went wrong, for whoever waits for it.

    A deadline is that of the request we are in.
    """
    try:
        CALLS[IntentKind(intent.kind)](intent, deadline)
    except Refused as refusal:
        if refusal.code == KEY_OF_OTHER_WORDS:
            failure = Unknown(refusal.message, replayed=True, status=refusal.status, code=refusal.code)
            _try_later(intent, failure)
            return failure
        if refusal.status == UNKNOWN_KEY:
            # Nothing is wrong with the call: it goes out once somebody has mended the setting.
            provider = PROVIDERS[IntentKind(intent.kind)]
            raise_attention(AttentionKind.PROVIDER_FORBIDDEN, provider, text=refusal.message)
            _try_later(intent, Unavailable(refusal.message, status=refusal.status))
            return refusal
        logger.warning("%s %s was refused: %s %s", intent.kind, intent.id, refusal.status, refusal.code)
        with _answer(intent) as flow:
            close_intent(flow, _fresh(intent), Outcome.REJECTED, f"{refusal.code}: {refusal.message}")
        return refusal
    except (Unavailable, Unknown) as failure:
        _try_later(intent, failure)
        return failure
    return None


def read_checkout_now(session_id: str, cause: Cause, deadline: Deadline, pause: timedelta) -> None:
    """Read a checkout that we hold open because somebody asks, unless that was done within the pause.

    No intent: reading changes nothing at Stripe. A failure changes nothing here either.
    """
    now = timezone.now()
    stale = Checkout.objects.filter(pk=session_id, status=CheckoutStatus.OPEN).exclude(read_at__gt=now - pause)
    if not stale.update(read_at=now):
        return  # not open, or read by somebody else just now
    try:
        seen: CheckoutSeen | None = stripe_api.read_checkout(session_id, deadline=deadline)
    except CallFailed as failure:
        logger.info("checkout %s could not be read: %s", session_id, failure.message)
        seen = None
    with settled_flow(Checkout.objects.get(pk=session_id).flow_id, cause) as flow:
        if seen:
            record_checkout(flow, seen, read=True)


def _answer(intent: Intent) -> AbstractContextManager[LockedFlow]:
    return settled_flow(intent.flow_id, Cause.intent(intent.id, PROVIDERS[IntentKind(intent.kind)]))


def _fresh(intent: Intent) -> Intent:
    """The intent as it is now, under the flow's lock."""
    return Intent.objects.get(pk=intent.pk)


def _done(flow: LockedFlow, intent: Intent, note: str = "") -> None:
    close_intent(flow, _fresh(intent), Outcome.DONE, note)


def _withdrawn(flow: LockedFlow, intent: Intent, note: str) -> None:
    """The refusal showed that our view was old; what was read instead says what is due now."""
    close_intent(flow, _fresh(intent), Outcome.WITHDRAWN, note)


def _try_later(intent: Intent, failure: CallFailed) -> None:
    logger.warning("%s %s did not go through: %s", intent.kind, intent.id, failure.message)
    with _answer(intent) as flow:
        row = _fresh(intent)
        if row.outcome != Outcome.OPEN:
            return
        pause = min(FIRST_PAUSE * 2 ** min(row.attempts, 10), LONGEST_PAUSE)
        if isinstance(failure, Unavailable):
            pause = timedelta(seconds=failure.retry_after) if failure.retry_after else pause
            if row.started_at and row.lease_until == row.started_at + LEASE:
                row.started_at = None  # begun with this lease and not done: it may still be withdrawn
        row.attempts += 1
        row.key_spent = row.key_spent or (isinstance(failure, Unknown) and failure.replayed)
        row.lease_until, row.next_at, row.note = None, flow.now + pause, failure.message[:500]
        flow.save(row, f"{row.kind} did not go through: {failure.message}" if row.attempts == 1 else "")
        jobs.knock_intent(row.id, at=row.next_at)


def _renew(intent: Intent) -> None:
    """Keep the lease before each further call."""
    intent.lease_until = timezone.now() + LEASE
    Intent.objects.filter(pk=intent.pk, outcome=Outcome.OPEN).update(lease_until=intent.lease_until)


def _key_is_over(intent: Intent) -> bool:
    """Whether asking again with the present key would prove nothing: look it up first."""
    old = intent.started_at is not None and timezone.now() >= intent.started_at + KEY_LIFE
    return intent.key_spent or old


def _new_key(intent: Intent) -> None:
    """Nothing was made under the old key, or making it twice does no harm."""
    intent.key_number += 1
    intent.key_spent, intent.started_at = False, timezone.now()
    intent.save(update_fields=["key_number", "key_spent", "started_at"])


# One function for each kind of call.


def _open_checkout(intent: Intent, deadline: Deadline | None) -> None:
    booking, flow_row = intent.booking, intent.flow
    if booking is None or intent.expires_at is None:
        raise ValueError(f"{intent} names no booking or no end")
    seen = None
    if _key_is_over(intent):
        seen = stripe_api.find_checkout(intent.id, intent.created_at)
        if seen is None:
            _new_key(intent)
    page = f"{settings.PUBLIC_URL}/pay/{booking.id}/return"
    try:
        seen = seen or stripe_api.open_checkout(
            amount_minor=intent.amount_minor,
            currency=intent.currency,
            name=flow_row.name,
            description=flow_row.description,
            customer_email=booking.email or (flow_row.client.email if flow_row.client else "") or None,
            client_reference_id=booking.id,
            metadata={
                "bookingId": booking.id,
                "calendlyEventUri": booking.event_uri,
                "flowId": intent.flow_id,
                "intent": intent.id,
            },
            success_url=f"{page}?session={{CHECKOUT_SESSION_ID}}",
            cancel_url=f"{page}?left=1",
            expires_at=intent.expires_at,
            idempotency_key=intent.idempotency_key,
            deadline=deadline,
        )
    except Refused as refusal:
        ends_soon = intent.expires_at <= timezone.now() + SHORTEST_CHECKOUT
        if refusal.status != 400 or refusal.code == KEY_OF_OTHER_WORDS or not ends_soon:
            raise
        with _answer(intent) as flow:
            _withdrawn(flow, intent, "It would have ended too soon; planned anew")
        return
    with _answer(intent) as flow:
        record_checkout(flow, seen)
        _done(flow, intent)


def _read_checkout(intent: Intent, deadline: Deadline | None) -> None:
    seen = stripe_api.read_checkout(intent.target, deadline=deadline)
    with _answer(intent) as flow:
        record_checkout(flow, seen, read=True)
        _done(flow, intent)


def _read_payment(intent: Intent, deadline: Deadline | None) -> None:
    seen = stripe_api.read_payment(intent.target, deadline=deadline)
    with _answer(intent) as flow:
        record_payment(flow, seen, read=True)
        _done(flow, intent)


def _expire_checkout(intent: Intent, deadline: Deadline | None) -> None:
    if _key_is_over(intent):
        _new_key(intent)  # with nothing to look up: a session that was expired is refused below, and read
    try:
        seen = stripe_api.expire_checkout(intent.target, idempotency_key=intent.idempotency_key, deadline=deadline)
    except Refused as refusal:
        if refusal.status != 400:
            raise
        # It is not open any more: follow what it says.
        _renew(intent)
        seen = stripe_api.read_checkout(intent.target, deadline=deadline)
        with _answer(intent) as flow:
            record_checkout(flow, seen, read=True)
            _withdrawn(flow, intent, refusal.message)
        return
    with _answer(intent) as flow:
        record_checkout(flow, seen)
        _done(flow, intent)


def _cancel_event(intent: Intent, deadline: Deadline | None) -> None:
    """Read, cancel, read: Calendly knows no idempotency keys."""
    booking = intent.booking
    if booking is None or booking.invitee_id is None:
        raise ValueError(f"{intent} names no seen booking")
    note = ""
    try:
        event = calendly_api.get_scheduled_event(intent.target, deadline=deadline)
        if event.active_invitees and event.active_invitees > 1:
            with _answer(intent) as flow:
                record_event(flow, event)
                _withdrawn(flow, intent, "The event has other invitees")
            return
        if not event.cancelled:
            _renew(intent)
            reason = f"This booking is cancelled. Reference: {intent.id}"
            try:
                calendly_api.cancel_scheduled_event(intent.target, reason, deadline=deadline)
            except Refused as refusal:
                if refusal.code != "past":
                    raise
                note = "It has started or is past"
        _renew(intent)
        invitee = calendly_api.get_invitee(intent.target, booking.invitee_id, deadline=deadline)
    except Refused as refusal:
        if refusal.status != 404:
            raise
        with _answer(intent) as flow:
            record_gone(flow, intent.target)
            _done(flow, intent, "Calendly knows no such event")
        return
    with _answer(intent) as flow:
        record_invitee(flow, invitee)
        _done(flow, intent, note)


def _refund(intent: Intent, deadline: Deadline | None) -> None:
    seen = None
    if _key_is_over(intent):
        seen = stripe_api.find_refund(intent.id, intent.target)
        if seen is None:
            _new_key(intent)
    try:
        seen = seen or stripe_api.create_refund(
            payment_intent_id=intent.target,
            amount_minor=intent.amount_minor,
            idempotency_key=intent.idempotency_key,
            metadata={"intent": intent.id, "flowId": intent.flow_id},
            deadline=deadline,
        )
    except Refused as refusal:
        if not _shows_an_old_view(refusal):
            raise
        _reread_refunds(intent, refusal)
        return
    with _answer(intent) as flow:
        record_refund(flow, seen)
        _done(flow, intent)


def _shows_an_old_view(refusal: Refused) -> bool:
    too_much = "greater than" in refusal.message  # Stripe has no code for "more than is left"
    return refusal.code in OLD_VIEW or too_much


def _reread_refunds(intent: Intent, refusal: Refused) -> None:
    """There are refunds or disputes that we had not heard of: read them; what is due then is decided anew."""
    _renew(intent)
    payment = stripe_api.read_payment(intent.target)
    refunds = stripe_api.list_refunds(intent.target)
    disputes = stripe_api.list_disputes(intent.target)
    with _answer(intent) as flow:
        record_payment(flow, payment, read=True)
        for refund in refunds:
            record_refund(flow, refund)
        for dispute in disputes:
            record_dispute(flow, dispute)
        # Withdrawn it is decided on anew; without a reason that we can see, that would go round for ever.
        outcome = Outcome.WITHDRAWN if _is_explained(flow, intent.target) else Outcome.REJECTED
        close_intent(flow, _fresh(intent), outcome, refusal.message)


def _is_explained(flow: LockedFlow, payment_intent_id: str) -> bool:
    """Whether we know now why a refund was refused: less is left than was asked for, or a dispute stands against it."""
    reading = Reading(flow_facts(flow), flow.now)
    paid = next(one for one in reading.facts.payments if one.payment_intent_id == payment_intent_id)
    return reading.left(paid) < 0 or reading.dispute_open(paid) or reading.blocked(paid)


CALLS: dict[IntentKind, Callable[[Intent, Deadline | None], None]] = {
    IntentKind.OPEN_CHECKOUT: _open_checkout,
    IntentKind.READ_CHECKOUT: _read_checkout,
    IntentKind.EXPIRE_CHECKOUT: _expire_checkout,
    IntentKind.READ_PAYMENT: _read_payment,
    IntentKind.CANCEL_EVENT: _cancel_event,
    IntentKind.REFUND: _refund,
}
PROVIDERS = {kind: "calendly" if kind is IntentKind.CANCEL_EVENT else "stripe" for kind in IntentKind}


def due_intents(now: datetime, limit: int) -> list[str]:
    """Open intents whose time has come and that nobody holds, the longest due first."""
    return list(_due(now).values_list("pk", flat=True)[:limit])


def _due(now: datetime) -> QuerySet[Intent]:
    rows = Intent.objects.filter(outcome=Outcome.OPEN, next_at__lte=now).exclude(lease_until__gt=now)
    return rows.exclude(needs_approval=True, approved_at=None).order_by("next_at", "pk")
