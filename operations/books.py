"""What must always hold (LIFECYCLE 8, I2 to I11), and who breaks it. I1 is asked at Stripe: `books_at_stripe.py`.

`findings` reads the whole database as it was at one moment, in chunks, and locks nothing. What it computes it computes
from the facts, not from what was stored for speed. So a rule of `lifecycle.py` that is wrong is found by I2 to I6,
although its verdict was stored faithfully (I8).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.apps import apps
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from bookings.facts import AttentionKind, CheckoutStatus, FlowFacts, IntentKind, Outcome, PaymentFacts
from bookings.models import BookingFlow, TimelineEntry
from bookings.quantities import OVERDUE_CALL, PATIENCE, Reading
from operations.verdicts import differences
from payments.loading import FlowRows, facts_of, loaded_rows, with_rows

CHUNK = 500
"""Flows in memory at a time."""
SWEPT = timedelta(minutes=1)
"""How late the sweeper may be before what only the clock made due counts as forgotten (I8)."""
CANCELLED_WITHIN, EXPIRED_WITHIN = timedelta(minutes=15), timedelta(minutes=5)
WHO, WHY = ("client", "staff", "calendly", "stripe", "system"), ("delivery", "intent", "request", "clock")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must hold and does not."""

    invariant: str
    """I1 to I11."""
    flow_id: str
    """Empty for a delivery that led to none."""
    object_id: str
    """The row or provider object that it is about."""
    text: str

    def __str__(self) -> str:
        return f"{self.invariant:3}  {self.flow_id or '-'}  {self.object_id}  {self.text}"


Broken = Iterator[tuple[str, str]]
"""What a check of one flow finds: (object id, text)."""


@dataclass(frozen=True, slots=True)
class Page:
    """One flow in the books, at the time at which they are read."""

    rows: FlowRows
    facts: FlowFacts
    reading: Reading

    @property
    def now(self) -> datetime:
        return self.reading.now

    def open(self, kind: IntentKind, target: str) -> bool:
        """Whether a call of this kind is still to be made."""
        return any(one.open for one in self.reading.intents(kind) if one.target == target)

    def told(self, kinds: Iterable[AttentionKind], object_ids: Iterable[str]) -> bool:
        """Whether a person is asked to look at one of these, or was and has resolved it."""
        objects = {(str(kind), object_id) for kind in kinds for object_id in object_ids}
        told = {(one.kind, one.object_id) for one in self.rows.attentions if not one.closed_at or one.resolved_by_id}
        return not told.isdisjoint(objects)


def flows(now: datetime, since: datetime | None = None) -> QuerySet[BookingFlow]:
    """The flows to check: all; or those settled or begun since, and those that the sweeper has forgotten."""
    rows = BookingFlow.objects.order_by("pk")
    if since is None:
        return rows
    return rows.filter(Q(settled_at__gte=since) | Q(created_at__gte=since) | Q(wake_at__lt=now - SWEPT))


def findings(
    now: datetime, since: datetime | None = None, checked: Callable[[], object] = lambda: None
) -> Iterator[Finding]:
    """Everything that does not hold, flow by flow and then the rest; `checked` is called after each flow.

    Read it to the end and call nobody meanwhile: a transaction is open (which only reads).
    """
    with _one_view():
        for flow in with_rows(flows(now, since)).iterator(chunk_size=CHUNK):
            yield from _of_flow(flow, now)
            checked()
        yield from i7_deliveries_are_accounted_for(since)
        yield from i10_the_timeline_names_who_and_why(flows(now, since) if since else None)


@contextmanager
def _one_view() -> Iterator[None]:
    """Everything as it was at one moment, whoever writes meanwhile; inside somebody's transaction, as that sees it."""
    begins = not connection.in_atomic_block
    with transaction.atomic():
        if begins:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _of_flow(flow: BookingFlow, now: datetime) -> Iterator[Finding]:
    rows = loaded_rows(flow)
    try:
        facts = facts_of(rows)
    except ValueError as error:
        yield Finding("I8", flow.id, flow.id, f"its rows cannot be read: {error}")
        return
    page = Page(rows, facts, Reading(facts, now))
    for invariant, check in CHECKS.items():
        for object_id, text in check(page):
            yield Finding(invariant, flow.id, object_id, text)


def i2_no_more_goes_back_than_came(page: Page) -> Broken:
    """Reserved, pending and succeeded refunds of ours stay within each payment."""
    for paid in page.facts.payments:
        ours = page.reading.intended(paid)
        if ours > paid.captured:
            yield paid.payment_intent_id, f"{ours} goes back by our doing, {paid.captured} was captured"
        yield from _sent_after_a_loss(page, paid)


def _sent_after_a_loss(page: Page, paid: PaymentFacts) -> Broken:
    """With lost disputes no automatic refund made afterwards returns more than was captured (I2).

    One by staff may have been sent while it was only an inquiry (R16), of which the lost dispute does not tell.
    """
    standing = {one.intent_id for one in page.facts.refunds if not one.failed}
    answered = {one.intent_id for one in page.facts.refunds}
    given = 0
    for intent in page.reading.intents(IntentKind.REFUND):
        counts = intent.id in standing or (intent.open and intent.id not in answered)
        if intent.target != paid.payment_intent_id or not counts:
            continue
        given += intent.amount
        lost = sum(
            one.amount
            for one in page.facts.disputes
            if one.lost
            and one.payment_intent_id == paid.payment_intent_id
            and one.recorded_at
            and one.recorded_at <= intent.created_at
        )
        if lost and intent.automatic and given + lost > paid.captured:
            yield intent.id, f"{given} goes back by our doing and {lost} was lost, {paid.captured} was captured"


def i3_what_is_ours_has_one_intent(page: Page) -> Broken:
    """One refund and one session for each intent; nothing of ours without one, unless marked external or unmatched."""
    sessions = {one.id: one for one in page.reading.intents(IntentKind.OPEN_CHECKOUT)}
    refunds = {one.id: one for one in page.reading.intents(IntentKind.REFUND)}
    made = Counter([one.intent_id for one in page.facts.checkouts] + [one.intent_id for one in page.facts.refunds])
    for intent in (*sessions.values(), *refunds.values()):
        if made[intent.id] > 1:
            yield intent.id, f"{made[intent.id]} objects were made for one {intent.kind}"
        if intent.outcome is Outcome.DONE and not made[intent.id]:
            yield intent.id, f"{intent.kind} is done, and nothing was made"
    for checkout in page.facts.checkouts:
        if checkout.intent_id and checkout.intent_id not in sessions:
            yield checkout.session_id, f"a session for {checkout.intent_id}, which opens none of this flow's"
    for paid in page.facts.payments:
        if paid.intent_id and paid.intent_id not in sessions:
            yield paid.payment_intent_id, f"a payment for {paid.intent_id}, which opens no session of this flow's"
        marked = page.told([AttentionKind.UNMATCHED_PAYMENT], [paid.payment_intent_id])
        if not paid.intent_id and paid in page.reading.unresolved and not marked:
            yield paid.payment_intent_id, "a payment without an intent, not marked as unmatched"
    targets = {one.id: one.target for one in refunds.values()}
    for refund in page.facts.refunds:
        if refund.intent_id and targets.get(refund.intent_id) != refund.payment_intent_id:
            yield refund.refund_id, f"a refund for {refund.intent_id}, which sends nothing of this payment back"


def i4_paid_and_unseen_is_told(page: Page) -> Broken:
    """Paid and unseen for 10 min has an open attention."""
    since = page.reading.paid_unseen_since
    if since and page.now > since + PATIENCE + SWEPT and not page.told([AttentionKind.PAID_UNSEEN], [page.facts.id]):
        yield page.facts.id, f"paid at {since:%F %T}, unseen, and nobody is told"


CANCEL_STUCK = (
    AttentionKind.SEVERAL_TIPS,
    AttentionKind.SHARED_EVENT,
    AttentionKind.CALL_REFUSED,
    AttentionKind.CANCEL_UNCONFIRMED,
)


def i5_ended_flows_free_their_slot(page: Page) -> Broken:
    """No event active at Calendly 15 min after the decision, or after our last cancel was answered, unless the intent
    or an attention is open. What has started can no longer be cancelled."""
    end = page.facts.decision
    if end is None:
        return
    for tip in page.reading.live_tips:
        if not tip.seen or page.reading.started(tip) or page.open(IntentKind.CANCEL_EVENT, tip.event_id):
            continue
        cancels = [one for one in page.reading.intents(IntentKind.CANCEL_EVENT) if one.target == tip.event_id]
        last_news = max([end.at, tip.recorded_at, *(one.closed_at for one in cancels if one.closed_at)])
        told = page.told(CANCEL_STUCK, [page.facts.id, tip.id, *(one.id for one in cancels)])
        if page.now > last_news + CANCELLED_WITHIN and not told:
            yield tip.id, f"the event {tip.event_id} is active, although the flow has ended"


def i6_nobody_pays_for_what_is_over(page: Page) -> Broken:
    """No open checkout of an ended or paid flow 5 min after the last news of it, unless its intent is open."""
    over = page.facts.decision is not None or page.reading.captured >= page.reading.due
    if not over or page.now <= page.rows.flow.updated_at + EXPIRED_WITHIN:
        return
    for checkout in page.facts.checkouts:
        expiring = page.open(IntentKind.EXPIRE_CHECKOUT, checkout.session_id)
        if checkout.status is CheckoutStatus.OPEN and not expiring:
            yield checkout.session_id, "open, although the flow has ended or is paid"


def i7_deliveries_are_accounted_for(since: datetime | None) -> Iterator[Finding]:
    """Every delivery is processed, parked with a reason, ignored with a reason, or due."""
    # By name, for nobody imports the webhooks.
    deliveries = apps.get_model("webhooks", "Delivery")._default_manager.filter(
        ~Q(state__in=["processed", "parked", "ignored", "due"]) | Q(state__in=["parked", "ignored"], reason="")
    )
    if since:
        deliveries = deliveries.filter(received_at__gte=since)
    for key, flow_id, state in deliveries.order_by("pk").values_list("pk", "flow_id", "state").iterator(CHUNK):
        yield Finding("I7", flow_id, key, f"{state or 'nothing'} without a reason")


def i8_the_stored_verdict_follows(page: Page) -> Broken:
    """The stored verdict is what follows from the facts at `settled_at`, and no `wake_at` is overdue by a minute."""
    yield from differences(page.rows, page.facts)
    wake_at = page.rows.flow.wake_at
    if wake_at and page.now > wake_at + SWEPT:
        yield page.facts.id, f"should have been settled at {wake_at:%F %T}"


def i9_calls_have_a_cause(page: Page) -> Broken:
    """Every refund of ours names a decision, a surplus or a staff request; every Calendly cancel of ours a decision."""
    row = page.rows.flow.decision_row
    for intent in page.rows.intents:
        decided = bool(row) and intent.why == row
        if intent.kind == IntentKind.CANCEL_EVENT and not decided:
            yield intent.id, f"a cancel that names no decision of this flow ({intent.why!r})"
        asked = intent.why == "surplus" or intent.requested_by_id is not None
        if intent.kind == IntentKind.REFUND and not (decided or asked):
            yield intent.id, f"a refund that names no decision, surplus or request ({intent.why!r})"


def i10_the_timeline_names_who_and_why(recent: QuerySet[BookingFlow] | None) -> Iterator[Finding]:
    """Every timeline entry names who and why: staff by their account, news and requests by their id."""
    nameless = ~Q(who__in=WHO) | Q(who="staff", user_id=None)
    causeless = ~Q(cause_kind__in=WHY) | ~Q(cause_kind="clock") & Q(cause_id="") | Q(what="")
    entries = TimelineEntry.objects.filter(nameless | causeless)
    if recent is not None:
        entries = entries.filter(flow__in=recent.order_by())
    for entry in entries.order_by("pk").iterator(CHUNK):
        yield Finding("I10", entry.flow_id, str(entry.pk), f"{entry.what!r} does not say who or why")


def i11_open_calls_go_on(page: Page) -> Broken:
    """Every open intent has a next time; none is older than a day without attention."""
    for intent in page.rows.intents:
        if intent.outcome != Outcome.OPEN:
            continue
        if intent.next_at is None:  # which the database forbids; here is where we see whether it does
            yield intent.id, f"{intent.kind} has no next time"
        old = page.now > intent.created_at + OVERDUE_CALL + SWEPT
        if old and not page.told([AttentionKind.CALL_OVERDUE], [intent.id]):
            yield intent.id, f"{intent.kind} is open since {intent.created_at:%F %T}, and nobody is told"


CHECKS: dict[str, Callable[[Page], Broken]] = {
    "I2": i2_no_more_goes_back_than_came,
    "I3": i3_what_is_ours_has_one_intent,
    "I4": i4_paid_and_unseen_is_told,
    "I5": i5_ended_flows_free_their_slot,
    "I6": i6_nobody_pays_for_what_is_over,
    "I8": i8_the_stored_verdict_follows,
    "I9": i9_calls_have_a_cause,
    "I11": i11_open_calls_go_on,
}
"""What is asked of each flow."""
