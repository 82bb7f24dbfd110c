"""The life of a booking: `decide(facts, now)` says everything that follows from what is known.

Pure: no ORM, no clock, no settings, no network. The tables of LIFECYCLE 4 to 6 stand here row by row, with their
numbers, and nowhere else; the quantities that they compare (tip, hold, sums) are defined in `quantities.py`. Whoever
changes a flow records facts and lets `payments/settlement.py` decide; deciding twice changes nothing.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from bookings.facts import (
    AsyncResult,
    AttentionKind,
    BookingFacts,
    BookingStatus,
    BookingVerdict,
    CalendlyStatus,
    CancelAsked,
    Decision,
    FlowFacts,
    IntentFacts,
    IntentKind,
    NewIntent,
    Outcome,
    Party,
    PaymentStatus,
    Quote,
    RefundStatus,
    Verdict,
)
from bookings.quantities import LONGEST_CHECKOUT, OVERDUE_CALL, PATIENCE, SHORTEST_CHECKOUT, SLOW_REFUND, Reading


def decide(facts: FlowFacts, now: datetime) -> Verdict:
    """The verdict on a flow at one time (LIFECYCLE 2)."""
    waiting = facts.intents
    facts = _withdrawn(facts, now)
    if facts.decision is None:
        facts = _withdrawn(replace(facts, decision=decision(Reading(facts, now))), now)
    reading = Reading(facts, now)
    payment_row, payment_status = payment(reading)
    intents = tuple(due_intents(reading))
    instants = [*_instants(reading), *(now + OVERDUE_CALL for _ in intents)]
    return Verdict(
        decision=facts.decision,
        payment_row=payment_row,
        payment_status=payment_status,
        refund_status=refund_status(reading),
        disputed=any(not dispute.closed for dispute in facts.disputes),
        bookings={one.id: booking(reading, one) for one in facts.bookings},
        hold_ends_at=reading.hold_ends_at,
        payable=reading.payable,
        intents=intents,
        withdrawn=frozenset(old.id for old, new in zip(waiting, facts.intents, strict=True) if old.open != new.open),
        attentions=frozenset(attentions(reading)) - facts.resolved,
        wake_at=min((at for at in instants if at > now), default=None),
        due=reading.due,
        captured=reading.captured,
        refunded=reading.refunded,
        reserved={
            paid.payment_intent_id: reading.intended(paid)
            + sum(new.amount for new in intents if new.target == paid.payment_intent_id)
            for paid in facts.payments
        },
    )


def _withdrawn(facts: FlowFacts, now: datetime) -> FlowFacts:
    """The facts without the waiting intents that they no longer ask for. One that goes may leave room for another."""
    while unwanted := _unwanted(Reading(facts, now)):
        intents = [
            replace(intent, outcome=Outcome.WITHDRAWN) if intent.id in unwanted else intent for intent in facts.intents
        ]
        facts = replace(facts, intents=tuple(intents))
    return facts


# Section 4: the decision to end a flow, the first row that holds.


def decision(r: Reading) -> Decision | None:
    """The end of the flow, if one has come (D1 to D4)."""
    asked, tip = r.facts.cancel_asked, r.only_tip
    # D1: cancel asked, by client or staff, before the start.
    if asked and not (r.current and r.current.start and asked.at >= r.current.start):
        percent = asked.percent
        if percent is None:
            percent = r.policy_percent(asked.at) if asked.refund_requested else 0
        return Decision("D1", percent, asked.at, asked.by, unseen=r.current is None or not r.current.seen)
    if tip is None:
        return None
    if tip.cancelled and not tip.rescheduled:
        # D2: the host cancelled. Our own cancel arrives as the host's; without its decision (a restore) staff decide.
        if tip.cancelled.by_host:
            return None if tip.cancelled.reference else Decision("D2", 100, tip.cancelled.at, Party.HOST)
        # D3: the invitee cancelled, or nobody knows who; the whole chain behind it is known, or was waited for.
        if all(r.now >= heard_at + PATIENCE for heard_at in r.unread_ancestors.values()):
            return Decision("D3", r.policy_percent(tip.cancelled.at), tip.cancelled.at, Party.CLIENT)
        return None
    # D4: nobody paid in time, and no checkout can still turn out to be paid.
    if (
        r.hold_over
        and not tip.cancelled
        and not (tip.end and r.now >= tip.end)
        and (r.captured < r.due or not tip.seen)
        and not r.unresolved
        and not any(checkout.live for checkout in r.facts.checkouts)
        and not r.opening
    ):
        return Decision("D4", 100, r.now, Party.SYSTEM, unseen=not tip.seen)
    return None


def quote(facts: FlowFacts, now: datetime, by: Party) -> Quote:
    """What a cancel asked now would bring back, by the very rules of the cancel; of an ended flow what still comes."""
    asked = facts if facts.decision else replace(facts, cancel_asked=CancelAsked(now, by))
    end = asked.decision or decision(Reading(asked, now))
    r = Reading(_withdrawn(replace(asked, decision=end), now), now)
    percent = end.percent if end else 0
    under_way = sum(r.on_its_way(paid) for paid in facts.payments)
    return Quote(
        amount=sum(amount for _, amount in r.refunds_due) + under_way,
        already=sum(refund.amount for refund in facts.refunds if refund.succeeded),
        percent=percent,
        notice=max((tier.notice for tier in facts.tiers if tier.percent == percent), default=None),
        valid_until=None if facts.decision else r.percent_holds_until(percent),
        by=end.by if end else by,
    )


# Section 5: the statuses, the first row that holds.


def payment(r: Reading) -> tuple[str, PaymentStatus]:
    """The flow's payment status, with its row (P1 to P8)."""
    if r.captured == 0:
        if r.unresolved:
            return "P1", PaymentStatus.PENDING
        if r.due == 0:
            return "P2", PaymentStatus.PAID
        if any(checkout.live for checkout in r.facts.checkouts):
            return "P3", PaymentStatus.PENDING
        if any(checkout.async_result is AsyncResult.FAILED for checkout in r.facts.checkouts):
            return "P4", PaymentStatus.FAILED
        return "P5", PaymentStatus.UNPAID
    if r.kept <= 0 and r.due > 0:
        return "P6", PaymentStatus.REFUNDED
    if r.kept >= r.due:
        return "P7", PaymentStatus.PAID
    return "P8", PaymentStatus.PARTIALLY_REFUNDED


def booking(r: Reading, one: BookingFacts) -> BookingVerdict:
    """One booking's status, with its row (B1 to B7)."""
    end = r.facts.decision
    if r.left_behind(one):
        return BookingVerdict("B1", BookingStatus.RESCHEDULED, CalendlyStatus.CANCELLED)
    if one.cancelled:
        return BookingVerdict("B2", BookingStatus.CANCELLED, CalendlyStatus.CANCELLED)
    if end and (not one.seen or one.gone or r.started(one)):
        calendly = CalendlyStatus.ACTIVE if one.seen and not one.gone else CalendlyStatus.CANCELLED
        return BookingVerdict("B3", BookingStatus.CANCELLED, calendly)
    if one.seen and one.end and r.now >= one.end:
        return BookingVerdict("B4", BookingStatus.COMPLETED, CalendlyStatus.ACTIVE)
    if end and (end.row == "D4" or (end.row == "D1" and end.unseen)):
        return BookingVerdict("B5", BookingStatus.CANCELLED, CalendlyStatus.ACTIVE, cancellation_pending=True)
    if one.seen and r.captured >= r.due:
        return BookingVerdict("B6", BookingStatus.CONFIRMED, CalendlyStatus.ACTIVE, cancellation_pending=bool(end))
    return BookingVerdict("B7", BookingStatus.PENDING, CalendlyStatus.ACTIVE, cancellation_pending=bool(end))


def refund_status(r: Reading) -> RefundStatus:
    """How far the money that should go back has come; the first that holds."""
    if any(r.failed_refunds()) or any(r.blocked(paid) for paid, _ in r.refunds_due):
        return RefundStatus.FAILED
    checkout_undecided = bool(r.opening) or any(checkout.live for checkout in r.facts.checkouts)
    refund_under_way = any(refund.pending for refund in r.facts.refunds) or any(
        intent.open for intent in r.intents(IntentKind.REFUND)
    )
    if checkout_undecided or refund_under_way or r.refunds_due:
        return RefundStatus.PENDING
    if any(refund.succeeded for refund in r.facts.refunds):
        return RefundStatus.COMPLETED
    return RefundStatus.NOT_APPLICABLE


# Section 6: what becomes due.


def due_intents(r: Reading) -> Iterator[NewIntent]:
    """The calls that are due now and that no open intent stands for yet."""
    tip = r.live_tip
    # Open a checkout: once when the flow first becomes payable. (Asked again: `new_checkout`.)
    asked_before = any(i.outcome is not Outcome.WITHDRAWN for i in r.intents(IntentKind.OPEN_CHECKOUT))
    if r.payable and not asked_before and not r.facts.checkouts:
        yield _checkout_intent(r)
    # Read a checkout: past its expiry and open here, complete without a result; or its payment's time is provisional.
    for checkout in r.facts.checkouts:
        if r.due_now(r.next_read(checkout)) and r.may_call(IntentKind.READ_CHECKOUT, checkout.session_id):
            yield NewIntent(IntentKind.READ_CHECKOUT, checkout.session_id, why="no news of it")
    for paid in r.facts.payments:
        if r.due_now(r.next_payment_read(paid)) and r.may_call(IntentKind.READ_PAYMENT, paid.payment_intent_id):
            yield NewIntent(IntentKind.READ_PAYMENT, paid.payment_intent_id, why="captured at is provisional")
    # Expire a checkout: it is open, and nobody may pay with it any more.
    for checkout in r.facts.checkouts:
        if r.must_expire(checkout) and r.may_call(IntentKind.EXPIRE_CHECKOUT, checkout.session_id):
            yield NewIntent(IntentKind.EXPIRE_CHECKOUT, checkout.session_id, why=r.why_over)
    # Cancel the scheduled event: there is a decision, and the tip still stands at Calendly.
    if tip and r.must_cancel(tip) and not tip.shared and r.may_call(IntentKind.CANCEL_EVENT, tip.event_id):
        yield NewIntent(IntentKind.CANCEL_EVENT, tip.event_id, booking_id=tip.id, why=r.why_over)
    # Refund, automatic: what should be back and was not tried yet, from the payment captured last.
    if not r.provisional:
        for paid, amount in r.refunds_due:
            if not r.dispute_open(paid) and not r.blocked(paid):
                why = r.facts.decision.row if r.facts.decision else "surplus"
                yield NewIntent(IntentKind.REFUND, paid.payment_intent_id, amount=amount, why=why)


def new_checkout(facts: FlowFacts, now: datetime) -> NewIntent | None:
    """Another checkout, asked for by the client or staff: None while one is live or the flow is not payable."""
    r = Reading(facts, now)
    if not r.payable or r.opening or any(checkout.live for checkout in facts.checkouts):
        return None
    return _checkout_intent(r)


def _checkout_intent(r: Reading) -> NewIntent:
    """`expires_at` is the later of hold end and 35 min from now, in Stripe's bounds; frozen on the intent."""
    expires_at = min(max(r.hold_ends_at or r.now, r.now + SHORTEST_CHECKOUT), r.now + LONGEST_CHECKOUT)
    booking_id = r.current.id if r.current else None
    return NewIntent(
        IntentKind.OPEN_CHECKOUT,
        booking_id=booking_id,
        amount=r.due,
        expires_at=expires_at.replace(microsecond=0),
        why="payable",
    )


def _unwanted(r: Reading) -> set[str]:
    """Open intents that were never started and that the facts no longer ask for."""
    waiting = [intent for intent in r.facts.intents if intent.open and not intent.started]
    unwanted = {intent.id for intent in waiting if not _wanted(r, intent)}
    return unwanted or r.unwanted_refunds([intent for intent in waiting if intent.kind is IntentKind.REFUND])


def _wanted(r: Reading, intent: IntentFacts) -> bool:
    """Whether the facts still ask for a waiting call; how much goes back is asked in `unwanted_refunds`."""
    checkout = next((one for one in r.facts.checkouts if one.session_id == intent.target), None)
    paid = next((one for one in r.facts.payments if one.payment_intent_id == intent.target), None)
    match intent.kind:
        case IntentKind.OPEN_CHECKOUT:
            return r.payable and not any(one.live for one in r.facts.checkouts)
        case IntentKind.READ_CHECKOUT:
            return checkout is not None and r.due_now(r.next_read(checkout))
        case IntentKind.READ_PAYMENT:
            return paid is not None and r.due_now(r.next_payment_read(paid))
        case IntentKind.EXPIRE_CHECKOUT:
            return checkout is not None and r.must_expire(checkout)
        case IntentKind.CANCEL_EVENT:
            return any(one.event_id == intent.target and r.must_cancel(one) and not one.shared for one in r.live_tips)
        case IntentKind.REFUND:
            return paid is not None and not r.held(intent)


# What needs a person.


def attentions(r: Reading) -> Iterator[tuple[AttentionKind, str]]:
    """What a person must look at, as (kind, object id). Each closes by itself when it no longer holds."""
    facts, now, flow = r.facts, r.now, r.facts.id
    for paid in facts.payments:
        if paid in r.unresolved and not paid.intent_id:
            yield AttentionKind.UNMATCHED_PAYMENT, paid.payment_intent_id
        elif paid in r.unresolved:
            yield AttentionKind.AMOUNT_MISMATCH, paid.payment_intent_id
    for one in facts.bookings:
        if one.gone and not facts.decision and not one.cancelled:
            yield AttentionKind.EVENT_GONE, one.id
        if r.awaits_successor(one) and one.left_at and now >= one.left_at + PATIENCE:
            yield AttentionKind.SUCCESSOR_UNSEEN, one.id
        if one.event_type_id and one.event_type_id != facts.event_type_id:
            yield AttentionKind.EVENT_TYPE_CHANGED, one.id
        if one.cancelled and one.cancelled.reference and not facts.decision:
            yield AttentionKind.UNEXPLAINED_CANCEL, one.id
        if booking(r, one).row == "B4" and r.captured < r.due:
            yield AttentionKind.UNPAID_SESSION, one.id
    if any(now >= heard_at + PATIENCE for heard_at in r.unread_ancestors.values()):
        yield AttentionKind.CHAIN_INCOMPLETE, flow
    if len(r.live_tips) > 1:
        yield AttentionKind.SEVERAL_TIPS, flow
    if r.paid_unseen_since and now >= r.paid_unseen_since + PATIENCE:
        yield AttentionKind.PAID_UNSEEN, flow
    if facts.direct and not (facts.client_known and r.captured >= r.due):
        yield AttentionKind.DIRECT_BOOKING, flow
    yield from _call_attentions(r)
    yield from _refund_attentions(r)


def _call_attentions(r: Reading) -> Iterator[tuple[AttentionKind, str]]:
    for intent in r.facts.intents:
        if intent.open and r.now >= intent.created_at + OVERDUE_CALL:
            yield AttentionKind.CALL_OVERDUE, intent.id
        if intent.outcome is Outcome.REJECTED and intent.kind is not IntentKind.REFUND:
            yield AttentionKind.CALL_REFUSED, intent.id
    for checkout in r.facts.checkouts:
        if r.must_expire(checkout) and r.spent(IntentKind.EXPIRE_CHECKOUT, checkout.session_id):
            yield AttentionKind.CALL_REFUSED, checkout.session_id
    for tip in r.live_tips:
        if r.must_cancel(tip):
            if tip.shared:
                yield AttentionKind.SHARED_EVENT, tip.id
            if r.spent(IntentKind.CANCEL_EVENT, tip.event_id):
                yield AttentionKind.CALL_REFUSED, tip.id
            unconfirmed = r.cancel_unconfirmed_since(tip)
            if unconfirmed and r.now >= unconfirmed + PATIENCE:
                yield AttentionKind.CANCEL_UNCONFIRMED, tip.id


def _refund_attentions(r: Reading) -> Iterator[tuple[AttentionKind, str]]:
    for failed in r.failed_refunds():
        yield AttentionKind.REFUND_FAILED, failed
    for paid, _ in r.refunds_due:
        if r.dispute_open(paid):
            yield AttentionKind.REFUND_HELD, paid.payment_intent_id
        elif r.blocked(paid):
            yield AttentionKind.REFUND_BLOCKED, paid.payment_intent_id
    for refund in r.facts.refunds:
        if refund.pending and r.now >= refund.recorded_at + SLOW_REFUND:
            yield AttentionKind.REFUND_SLOW, refund.refund_id
    if r.due and r.kept <= 0 and r.external(r.matching) and not r.facts.decision and r.live_tips:
        yield AttentionKind.EXTERNAL_FULL_REFUND, r.facts.id


# When time alone will change something.


def _instants(r: Reading) -> Iterator[datetime]:
    """Every time at which a comparison above with `now` turns over; the next one is `wake_at`."""
    facts = r.facts
    if r.hold_ends_at:
        yield r.hold_ends_at
    for one in facts.bookings:
        yield from (at for at in (one.start, one.end) if at)
        if one.left_at and r.awaits_successor(one):
            yield one.left_at + PATIENCE
    yield from (heard_at + PATIENCE for heard_at in r.unread_ancestors.values())
    if r.paid_unseen_since:
        yield r.paid_unseen_since + PATIENCE
    reads = [r.next_read(checkout) for checkout in facts.checkouts]
    reads += [r.next_payment_read(paid) for paid in facts.payments]
    yield from (at for at in reads if at)
    for tip in r.live_tips:
        if unconfirmed := r.cancel_unconfirmed_since(tip):
            yield unconfirmed + PATIENCE
    yield from (refund.recorded_at + SLOW_REFUND for refund in facts.refunds if refund.pending)
    yield from (intent.created_at + OVERDUE_CALL for intent in facts.intents if intent.open)
