"""The facts of a flow read at one time: the tip, the hold, the policy and the sums that the tables speak of.

The quantities that LIFECYCLE 4 to 6 define, each once; the tables that compare them are in `lifecycle.py`. Pure too.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import cached_property

from bookings.facts import (
    BookingFacts,
    CheckoutFacts,
    CheckoutStatus,
    FlowFacts,
    IntentFacts,
    IntentKind,
    Outcome,
    PaymentFacts,
    RefundFacts,
    Tier,
)
from bookings.money import smallest_step

STANDARD_TIERS = (Tier(timedelta(hours=24), 100), Tier(timedelta(hours=12), 50))
PATIENCE = timedelta(minutes=10)
"""How long missing news may take before a person looks, or before we go and read it."""
HOLD_BEFORE_START = timedelta(minutes=10)
SHORTEST_HOLD = timedelta(minutes=5)
SHORTEST_CHECKOUT, LONGEST_CHECKOUT = timedelta(minutes=35), timedelta(hours=23, minutes=55)
"""Stripe takes 30 minutes to 24 hours from its own clock; the margins are ours."""
LONG_READ_PAUSE = timedelta(hours=1)
SLOW_REFUND = timedelta(days=5)
OVERDUE_CALL = timedelta(days=1)
MOST_CALLS = 3
"""How often a call that should have changed something is decided on again before a person looks."""


def share(percent: int, amount: int) -> int:
    """The percentage of an amount in minor units, rounded half up to the minor unit."""
    return (2 * percent * amount + 100) // 200


def tier_percent(tiers: Iterable[Tier], notice: timedelta) -> int:
    """What comes back when the session is given up that long before its start: the longest notice that is met."""
    met = [tier for tier in tiers if notice >= tier.notice]
    return max(met, key=lambda tier: tier.notice).percent if met else 0


def rescheduled_to(facts: FlowFacts, invitee_id: str | None) -> BookingFacts | None:
    """The nearest seen successor of a booking."""
    by_invitee = {one.invitee_id: one for one in facts.bookings if one.seen}
    passed = ring = {invitee_id or ""}
    while ring:
        ring = {new for old, new in facts.edges if old in ring} - passed
        passed = passed | ring
        for new in sorted(ring, key=str):
            if new in by_invitee:
                return by_invitee[new]
    return None


class Reading:
    """The facts of one flow, read at one time."""

    def __init__(self, facts: FlowFacts, now: datetime) -> None:
        self.facts, self.now = facts, now

    # The chain of bookings.

    @cached_property
    def _seen(self) -> dict[str, BookingFacts]:
        return {one.invitee_id: one for one in self.facts.bookings if one.invitee_id}

    @cached_property
    def _left_invitees(self) -> set[str]:
        return {old for old, _ in self.facts.edges}

    def left_behind(self, one: BookingFacts) -> bool:
        """Has a successor, or is cancelled because it was rescheduled."""
        return one.invitee_id in self._left_invitees or (one.cancelled is not None and one.rescheduled)

    def awaits_successor(self, one: BookingFacts) -> bool:
        return self.left_behind(one) and rescheduled_to(self.facts, one.invitee_id) is None

    def started(self, one: BookingFacts) -> bool:
        return one.start is not None and self.now >= one.start

    @cached_property
    def tips(self) -> list[BookingFacts]:
        """The bookings that nothing followed."""
        return [one for one in self.facts.bookings if one.invitee_id not in self._left_invitees]

    @cached_property
    def only_tip(self) -> BookingFacts | None:
        return self.tips[0] if len(self.tips) == 1 else None

    @cached_property
    def live_tips(self) -> list[BookingFacts]:
        return [one for one in self.tips if not one.cancelled and not one.gone]

    @cached_property
    def live_tip(self) -> BookingFacts | None:
        """The one booking that stands. With several nothing is done by itself."""
        return self.live_tips[0] if len(self.live_tips) == 1 else None

    @cached_property
    def current(self) -> BookingFacts | None:
        """The booking whose start counts: the tip, the newest if there are several."""
        candidates = self.live_tips or self.tips or self.facts.bookings
        return max(candidates, key=lambda one: (one.created_at or one.recorded_at, one.id), default=None)

    @cached_property
    def unread_ancestors(self) -> dict[str, datetime]:
        """Old invitees that are named but not seen, with the time at which we first heard of their successor."""
        return {
            old: self._seen[new].recorded_at
            for old, new in sorted(self.facts.edges)
            if old not in self._seen and new in self._seen
        }

    def _depth(self, one: BookingFacts) -> int:
        """How many reschedules lie before a booking."""
        depth = 0
        passed = ring = {one.invitee_id or ""}
        while ring := {old for old, new in self.facts.edges if new in ring} - passed:
            depth, passed = depth + 1, passed | ring
        return depth

    # The hold.

    @cached_property
    def hold_ends_at(self) -> datetime | None:
        """When the slot is given up unless it is paid for; None without a hold."""
        tip = self.only_tip
        if tip is None or (tip.seen and (self.due == 0 or self.facts.direct)):
            return None
        # Counted from the first booking, and anew once: from the first that we saw behind a reschedule.
        moved = min(1, self._depth(tip))
        begun = min(one.recorded_at for one in self.facts.bookings if self._depth(one) >= moved)
        end = begun + self.facts.hold
        if tip.start:
            end = min(end, max(tip.start - HOLD_BEFORE_START, begun + SHORTEST_HOLD))
        return end

    @cached_property
    def hold_over(self) -> bool:
        return self.hold_ends_at is not None and self.now >= self.hold_ends_at

    # The policy.

    def policy_percent(self, at: datetime) -> int:
        """The smallest of the tier for the current start and the tiers of the starts left behind."""
        notices = [self.current.start - at] if self.current and self.current.start else []
        for old, new in self.facts.edges:
            if old in self._seen and new in self._seen:
                left, moved_at = self._seen[old].start, self._seen[new].created_at
                if left and moved_at:
                    notices.append(left - moved_at)
        return min((tier_percent(self.facts.tiers, notice) for notice in notices), default=100)

    def percent_holds_until(self, percent: int) -> datetime | None:
        """The last moment at which the policy gives this percentage: a tier's boundary, or the start."""
        if self.current is None or self.current.start is None:
            return None
        start = self.current.start
        boundaries = sorted(at for at in (start - tier.notice for tier in self.facts.tiers) if at >= self.now)
        falls = (at for at in boundaries if self.policy_percent(at + timedelta.resolution) < percent)
        return next(falls, start)

    # The sums (LIFECYCLE 5): over matching payments only.

    def intents(self, kind: IntentKind) -> list[IntentFacts]:
        return [intent for intent in self.facts.intents if intent.kind is kind]

    @cached_property
    def opening(self) -> list[IntentFacts]:
        """Checkouts that we are asking for and have no answer about."""
        return [intent for intent in self.intents(IntentKind.OPEN_CHECKOUT) if intent.open]

    @cached_property
    def due(self) -> int:
        if self.facts.waived:
            return 0
        accepted = [paid.captured for paid in self.facts.payments if paid.accepted]
        return sum(accepted) if accepted else self.facts.price

    @cached_property
    def matching(self) -> list[PaymentFacts]:
        """Made for an intent of ours with the right amount and currency; or accepted by staff."""
        asked = {intent.id: intent.amount for intent in self.intents(IntentKind.OPEN_CHECKOUT)}

        def matches(paid: PaymentFacts) -> bool:
            return paid.currency == self.facts.currency and asked.get(paid.intent_id or "") == paid.captured

        return [paid for paid in self.facts.payments if paid.captured and (paid.accepted or matches(paid))]

    @cached_property
    def mismatched(self) -> list[PaymentFacts]:
        return [paid for paid in self.facts.payments if paid.captured and paid not in self.matching]

    @cached_property
    def unresolved(self) -> list[PaymentFacts]:
        """Captured money that does not match and is neither returned nor accepted."""
        return [paid for paid in self.mismatched if not self._returned(paid)]

    def _returned(self, paid: PaymentFacts) -> bool:
        return self._succeeded([paid]) + self._lost([paid]) >= paid.captured

    @cached_property
    def provisional(self) -> bool:
        """Whether the time of some capture is not yet the charge's own; until then no refund is decided on."""
        return any(paid.captured and paid.provisional for paid in self.facts.payments)

    @cached_property
    def captured(self) -> int:
        return sum(paid.captured for paid in self.matching)

    @cached_property
    def refunded(self) -> int:
        return self._succeeded(self.matching)

    @cached_property
    def kept(self) -> int:
        return self.captured - self.refunded - self._lost(self.matching)

    def _refunds(self, paid: PaymentFacts) -> list[RefundFacts]:
        return [refund for refund in self.facts.refunds if refund.payment_intent_id == paid.payment_intent_id]

    def _refund_intents(self, paid: PaymentFacts) -> list[IntentFacts]:
        return [intent for intent in self.intents(IntentKind.REFUND) if intent.target == paid.payment_intent_id]

    def _succeeded(self, payments: Iterable[PaymentFacts]) -> int:
        return sum(refund.amount for paid in payments for refund in self._refunds(paid) if refund.succeeded)

    def _lost(self, payments: Iterable[PaymentFacts]) -> int:
        ids = {paid.payment_intent_id for paid in payments}
        return sum(d.amount for d in self.facts.disputes if d.lost and d.payment_intent_id in ids)

    def external(self, payments: Iterable[PaymentFacts]) -> int:
        """Refunds made outside that did not fail."""
        ours = {intent.id for intent in self.intents(IntentKind.REFUND)}
        refunds = [refund for paid in payments for refund in self._refunds(paid)]
        return sum(refund.amount for refund in refunds if not refund.failed and refund.intent_id not in ours)

    def _tried(self, payments: Iterable[PaymentFacts]) -> int:
        """All automatic refunds that were not withdrawn, whatever became of them."""
        intents = [intent for paid in payments for intent in self._refund_intents(paid) if intent.automatic]
        # After a restore an intent may be withdrawn here, and its refund be known at Stripe.
        made = {refund.intent_id for refund in self.facts.refunds}
        return sum(i.amount for i in intents if i.outcome is not Outcome.WITHDRAWN or i.id in made)

    def intended(self, paid: PaymentFacts) -> int:
        """Refund intents of ours that are open, pending or succeeded."""
        failed = {refund.intent_id: refund.failed for refund in self._refunds(paid) if refund.intent_id}
        return sum(
            intent.amount
            for intent in self._refund_intents(paid)
            if (not failed[intent.id] if intent.id in failed else intent.open)
        )

    def _reserved(self, paid: PaymentFacts) -> int:
        """Asked for, and not answered yet."""
        answered = {refund.intent_id for refund in self._refunds(paid)}
        return sum(i.amount for i in self._refund_intents(paid) if i.open and i.id not in answered)

    def on_its_way(self, paid: PaymentFacts) -> int:
        """What is going back of one payment: reserved, or pending at the bank."""
        return self._reserved(paid) + sum(refund.amount for refund in self._refunds(paid) if refund.pending)

    def left(self, paid: PaymentFacts) -> int:
        """What can still go back of one payment."""
        out = sum(refund.amount for refund in self._refunds(paid) if not refund.failed)
        return paid.captured - out - self._reserved(paid) - self._lost([paid])

    @cached_property
    def back(self) -> int:
        """What should go back of the matching money in all."""
        end = self.facts.decision
        if end is None:
            return max(0, self.captured - self.due)
        in_time = sum(p.captured for p in self.matching if p.captured_at and p.captured_at <= end.at)
        on_time = 0 if end.row == "D4" else min(self.due, in_time)
        # In whole steps of what Stripe takes: of a three-decimal currency it wants the last digit to be 0.
        step = smallest_step(self.facts.currency)
        return share(end.percent, on_time // step) * step + (self.captured - on_time)

    @cached_property
    def _pots(self) -> list[tuple[list[PaymentFacts], int]]:
        """Payments, with what should go back of them together: the matching ones; after the end each other one."""
        others = [([paid], paid.captured) for paid in self.mismatched] if self.facts.decision else []
        return [(self.matching, self.back), *others]

    def _untried(self, payments: list[PaymentFacts], back: int) -> int:
        return back - self.external(payments) - self._lost(payments) - self._tried(payments)

    @cached_property
    def refunds_due(self) -> list[tuple[PaymentFacts, int]]:
        """What should be back and was neither returned nor tried, per payment, the one captured last first."""
        found = []
        for payments, back in self._pots:
            need = self._untried(payments, back)
            for paid in sorted(payments, key=_captured_last, reverse=True):
                amount = min(self.left(paid) + self._unapproved(paid), need)
                if amount > 0:
                    found.append((paid, amount))
                    need -= amount
        return found

    def _unapproved(self, paid: PaymentFacts) -> int:
        """Reserved by staff requests that nobody approved yet; these give way to an automatic refund."""
        return sum(i.amount for i in self._refund_intents(paid) if i.open and i.awaits_approval)

    def unwanted_refunds(self, waiting: list[IntentFacts]) -> set[str]:
        """Refunds never sent that would return more than is due; if none, those that more than fill what is left."""
        newest_first = sorted(waiting, key=lambda intent: (intent.created_at, intent.id), reverse=True)
        return set(self._more_than_due(newest_first)) or set(self._more_than_left(newest_first))

    def _more_than_due(self, waiting: list[IntentFacts]) -> Iterator[str]:
        for payments, back in self._pots:
            ids = {paid.payment_intent_id for paid in payments}
            over = -self._untried(payments, back)
            for intent in waiting:
                if intent.automatic and intent.target in ids and over > 0:
                    over -= intent.amount
                    yield intent.id

    def _more_than_left(self, waiting: list[IntentFacts]) -> Iterator[str]:
        """What nobody approved yet gives way to an automatic refund as well."""
        due = {paid.payment_intent_id: amount for paid, amount in self.refunds_due}
        for paid in self.facts.payments:
            left = self.left(paid)
            crowded = due.get(paid.payment_intent_id, 0) > left
            for intent in waiting:
                if intent.target == paid.payment_intent_id and (left < 0 or (crowded and intent.awaits_approval)):
                    left += intent.amount
                    yield intent.id

    def failed_refunds(self) -> Iterator[str]:
        """Refund intents of ours that were refused or failed, and that no other replaces.

        One that replaces another and fails as well stands for both.
        """
        intents = self.intents(IntentKind.REFUND)
        replaced = {intent.replaces for intent in intents if intent.outcome is not Outcome.WITHDRAWN}
        failed = {refund.intent_id for refund in self.facts.refunds if refund.failed}
        for intent in intents:
            if (intent.outcome is Outcome.REJECTED or intent.id in failed) and intent.id not in replaced:
                yield intent.id

    def dispute_open(self, paid: PaymentFacts) -> bool:
        return any(not d.closed for d in self.facts.disputes if d.payment_intent_id == paid.payment_intent_id)

    def held(self, intent: IntentFacts) -> bool:
        """Whether an open dispute forbids a refund (R15). Staff may refund an inquiry that they knew of (R16)."""
        for d in self.facts.disputes:
            known = d.recorded_at is not None and intent.created_at >= d.recorded_at
            allowed = d.inquiry and d.refundable and known and not intent.automatic
            if d.payment_intent_id == intent.target and not d.closed and not allowed:
                return True
        return False

    def blocked(self, paid: PaymentFacts) -> bool:
        """A dispute over it was lost, and Stripe does not let the rest be refunded."""
        disputes = [d for d in self.facts.disputes if d.payment_intent_id == paid.payment_intent_id]
        return any(dispute.lost and not dispute.refundable for dispute in disputes)

    # What is wanted.

    @cached_property
    def payable(self) -> bool:
        """Due > 0, C < due, no decision, the hold running or none, exactly one live tip, seen and not started."""
        tip = self.live_tip
        if tip is None or not tip.seen or self.started(tip):
            return False
        return 0 < self.due > self.captured and not self.facts.decision and not self.hold_over

    @property
    def why_over(self) -> str:
        """Why nobody may pay any more, or why the slot is given up."""
        if self.facts.decision:
            return self.facts.decision.row
        if self.captured >= self.due:
            return "paid"
        return "hold over" if self.hold_over else "started"

    def must_expire(self, checkout: CheckoutFacts) -> bool:
        """It is open, and there is a decision, or it is paid, or the hold is over, or the tip has started."""
        tip_started = self.current is not None and self.started(self.current)
        over = self.facts.decision is not None or self.captured >= self.due or self.hold_over or tip_started
        return checkout.status is CheckoutStatus.OPEN and over

    def must_cancel(self, one: BookingFacts) -> bool:
        """The flow has ended, and this tip still stands at Calendly and has not begun."""
        return self.facts.decision is not None and one is self.live_tip and one.seen and not self.started(one)

    def next_read(self, checkout: CheckoutFacts) -> datetime | None:
        """When a checkout should be read, should there be no news of it before."""
        if checkout.status is CheckoutStatus.OPEN:
            first, pause = checkout.expires_at, PATIENCE
        elif checkout.awaits_result and checkout.completed_at:
            first, pause = checkout.completed_at + PATIENCE, LONG_READ_PAUSE
        else:
            return None
        return first if checkout.read_at is None or checkout.read_at < first else checkout.read_at + pause

    def next_payment_read(self, paid: PaymentFacts) -> datetime | None:
        """When a payment should be read for the charge's own time; at once if it never was."""
        if not paid.captured or not paid.provisional:
            return None
        return paid.read_at + PATIENCE if paid.read_at else paid.recorded_at

    def due_now(self, at: datetime | None) -> bool:
        return at is not None and self.now >= at

    def spent(self, kind: IntentKind, target: str) -> bool:
        """Refused once, or made several times without effect: a person must look."""
        made = [i for i in self.intents(kind) if i.target == target and i.started and not i.open]
        refused = any(intent.outcome is Outcome.REJECTED for intent in made)
        reading = kind in (IntentKind.READ_CHECKOUT, IntentKind.READ_PAYMENT)
        return refused or (not reading and len(made) >= MOST_CALLS)

    def may_call(self, kind: IntentKind, target: str) -> bool:
        """No intent stands for this call, and it is not spent. A cancel that was done is not asked for twice."""
        same = [intent for intent in self.intents(kind) if intent.target == target]
        done = kind is IntentKind.CANCEL_EVENT and any(intent.outcome is Outcome.DONE for intent in same)
        return not done and not any(intent.open for intent in same) and not self.spent(kind, target)

    def cancel_unconfirmed_since(self, tip: BookingFacts) -> datetime | None:
        """When our cancel was answered, although the tip still stands."""
        if not self.must_cancel(tip):
            return None
        cancels = [intent for intent in self.intents(IntentKind.CANCEL_EVENT) if intent.target == tip.event_id]
        return max((i.closed_at for i in cancels if i.outcome is Outcome.DONE and i.closed_at), default=None)

    @cached_property
    def paid_unseen_since(self) -> datetime | None:
        """When the first money came for a flow whose booking Calendly has not told us of."""
        if self._seen or not self.captured:
            return None
        return min(paid.recorded_at for paid in self.matching)


def _captured_last(paid: PaymentFacts) -> tuple[datetime, str]:
    return paid.captured_at or paid.recorded_at, paid.payment_intent_id
