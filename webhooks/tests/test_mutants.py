"""The rules that are easiest to break, each broken on purpose: some short story must notice.

The stories are told twice: with the service as it is, where they must hold, and with the mutant switched on, where
they must not. A mutant that lives shows that a rule has lost its test.
"""

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models import QuerySet
from django.utils import timezone

from api.calling import Deadline
from bookings.facts import FlowFacts, IntentKind, Outcome, Party, PaymentStatus, RefundFacts, Verdict
from bookings.lifecycle import decide
from bookings.locked import Cause
from bookings.models import BookingFlow, Intent
from bookings.quantities import Reading
from bookings.records import record_client_words
from bookings.tests import test_lifecycle_sequences as sequences
from bookings.tests.facts_builder import (
    DAY,
    HOUR,
    MINUTE,
    PRICE,
    T0,
    booking,
    cancelled,
    dispute,
    ended,
    flow,
    paid,
    refund,
    sent,
)
from payments import acting, records
from payments.models import Checkout, Dispute, Refund
from payments.settlement import settled_flow
from webhooks.models import Delivery, State
from webhooks.tasks import process
from webhooks.tests import world as worlds
from webhooks.tests.world import World

LATER = T0 + 2 * HOUR
Break = Callable[[pytest.MonkeyPatch], None]


def judge(facts: FlowFacts, now: datetime = LATER) -> Verdict:
    """The verdict, asked for where a mutant can reach it."""
    verdict: Verdict = vars(sequences)["decide"](facts, now)
    return verdict


def due_back(facts: FlowFacts) -> int:
    """What the verdict would send back now, in minor units."""
    return sum(new.amount for new in judge(facts).intents if new.kind is IntentKind.REFUND)


def decide_on(change: Callable[[FlowFacts], FlowFacts]) -> Break:
    """Let the pure core see other facts than there are."""

    def switch_on(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sequences, "decide", lambda facts, now: decide(change(facts), now))

    return switch_on


# Mutants of the pure core, with their stories.


def pending_refunds_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RefundFacts, "failed", property(lambda one: one.status != "succeeded"))


def a_pending_refund_is_not_sent_once_more() -> None:
    facts = flow(booking(), *paid(), refund(3_000, "pending", name="re_out"), decision=ended(percent=50))
    assert due_back(facts) == 2_000


decisions_decided_again = decide_on(lambda facts: replace(facts, decision=None))


def an_end_stays_as_it_was_written() -> None:
    lapsed = sequences.live(*sequences.OPEN, (sequences.World.wait, 4), (sequences.World.answer, 0))
    assert lapsed.facts.decision
    lapsed.come_to_rest()


def _not_rescheduled(facts: FlowFacts) -> FlowFacts:
    return replace(facts, bookings=tuple(replace(one, rescheduled=False) for one in facts.bookings))


rescheduled_ignored = decide_on(_not_rescheduled)


def half_the_news_of_a_reschedule_ends_nothing() -> None:
    facts = flow(cancelled(booking(), T0 + HOUR, rescheduled=True), *paid())
    assert judge(facts).decision is None


def _captured_when_we_heard(facts: FlowFacts) -> FlowFacts:
    return replace(facts, payments=tuple(replace(one, captured_at=one.recorded_at) for one in facts.payments))


captured_at_ignored = decide_on(_captured_when_we_heard)


def late_news_of_money_is_no_late_money() -> None:
    facts = flow(booking(), *paid(at=T0 + 5 * MINUTE, recorded_at=LATER), decision=ended(percent=50))
    assert due_back(facts) == PRICE // 2


def failed_refunds_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(reading: Reading, payments: Any) -> int:
        failed = {one.intent_id for one in reading.facts.refunds if one.failed}
        intents = [one for paid in payments for one in reading._refund_intents(paid) if one.automatic]
        lost = (Outcome.WITHDRAWN, Outcome.REJECTED)
        return sum(one.amount for one in intents if one.id not in failed and one.outcome not in lost)

    monkeypatch.setattr(Reading, "_tried", tried)


def a_failed_refund_waits_for_staff() -> None:
    assert due_back(flow(booking(), *paid(), *sent(PRICE, "failed"), decision=ended())) == 0


def lost_disputes_not_subtracted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reading, "_lost", lambda reading, payments: 0)


def what_the_bank_took_does_not_go_back_as_well() -> None:
    facts = flow(booking(), *paid(), dispute(3_000, "lost", refundable=True), decision=ended())
    assert due_back(facts) == PRICE - 3_000


def mismatched_payments_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = property(lambda reading: [one for one in reading.facts.payments if one.captured])
    monkeypatch.setattr(Reading, "matching", everything)


def money_of_another_currency_pays_for_nothing() -> None:
    intent, session, money = paid(currency="JPY")
    verdict = judge(flow(booking(), intent, session, money))
    assert verdict.payment_status is PaymentStatus.PENDING
    assert verdict.captured == 0


PURE: list[tuple[Break, Callable[[], None]]] = [
    (pending_refunds_not_counted, a_pending_refund_is_not_sent_once_more),
    (decisions_decided_again, an_end_stays_as_it_was_written),
    (rescheduled_ignored, half_the_news_of_a_reschedule_ends_nothing),
    (captured_at_ignored, late_news_of_money_is_no_late_money),
    (failed_refunds_sent_again, a_failed_refund_waits_for_staff),
    (lost_disputes_not_subtracted, what_the_bank_took_does_not_go_back_as_well),
    (mismatched_payments_summed, money_of_another_currency_pays_for_nothing),
]


@pytest.mark.parametrize(("mutant", "story"), PURE, ids=[story.__name__ for _, story in PURE])
def test_a_broken_rule_is_noticed(mutant: Break, story: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    story()
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        story()


# Mutants of what stands around it: rows, keys and locks.


def a_new_key_on_each_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Intent, "idempotency_key", property(lambda intent: str(uuid.uuid4())))


def a_refund_whose_answer_was_lost_is_made_once(world: World) -> None:
    """Of half the price, for Stripe itself refuses to send the whole back twice."""
    flow_id, slot = paid_booking(world, starts_in=18 * HOUR)
    world.calendly.room("cancel", invitee=slot["invitee_id"])
    world.deliver()
    for delivery_id in Delivery.objects.filter(state=State.DUE).values_list("pk", flat=True):
        process(delivery_id)
    intent = Intent.objects.get(flow_id=flow_id, kind=IntentKind.REFUND)
    world.stripe.breaks("POST", "/v1/refunds", "reset_after")
    acting.act(intent.id, Deadline(0.1))
    assert Intent.objects.get(pk=intent.pk).outcome == Outcome.OPEN
    world.work()
    assert world.money()["refunded"] == worlds.PRICE // 2


class _Falling(dict[str, int]):
    """Ranks of which the one asked for first is always the higher."""

    asked = 0

    def get(self, *_: object) -> int:
        self.asked -= 1
        return self.asked


def last_news_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "REFUND_RANK", _Falling())
    monkeypatch.setattr(records, "_dispute_rank", lambda status: (False, False, False))


def older_news_that_comes_later_changes_nothing(world: World) -> None:
    paid_booking(world)
    (payment_intent_id,) = world.stripe.look("ledger")["payments"]
    refund_id = world.stripe.room("refund", payment_intent=payment_intent_id, amount=1_000)["id"]
    world.stripe.room(f"refund/{refund_id}", status="failed")
    dispute_id = world.stripe.room("dispute", payment_intent=payment_intent_id, amount=500)["id"]
    world.stripe.room(f"dispute/{dispute_id}", status="lost")
    for letter in reversed(world.mail()):
        world.deliver([letter])
        world.work()
    assert (Refund.objects.get().status, Dispute.objects.get().status) == ("failed", "lost")


def paid_booking(world: World, starts_in: timedelta = 10 * DAY) -> tuple[str, dict[str, str]]:
    """A flow's id, and its slot as Calendly names it."""
    flow_id = world.person().initiate()
    slot = world.book(flow_id, start_time=(timezone.now() + starts_in).isoformat())
    world.hear()
    world.pay(Checkout.objects.get(flow_id=flow_id).session_id)
    world.hear()
    return flow_id, slot


@pytest.mark.parametrize(
    ("mutant", "story"),
    [
        (a_new_key_on_each_try, a_refund_whose_answer_was_lost_is_made_once),
        (last_news_wins, older_news_that_comes_later_changes_nothing),
    ],
)
def test_what_is_broken_around_the_rules_is_noticed(
    world: World, mutant: Break, story: Callable[[World], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.rewound():
        story(world)
    mutant(monkeypatch)
    with world.rewound(), pytest.raises(AssertionError):
        story(world)


def no_row_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)


def two_at_once_do_not_undo_each_other(world: World) -> None:
    flow_id = world.person().initiate()

    def client_cancels() -> None:
        try:
            with settled_flow(flow_id, Cause.request("one")) as locked:
                locked.row.cancel_asked_at, locked.row.cancel_asked_by = locked.now, Party.CLIENT
                locked.save(locked.row)
        finally:
            connections.close_all()

    one = threading.Thread(target=client_cancels)
    with settled_flow(flow_id, Cause.request("other")) as locked:
        one.start()
        one.join(1.0)  # in vain: it waits for the lock
        record_client_words(locked, phone="", notes="I bring cake")
    one.join()
    row = BookingFlow.objects.get(pk=flow_id)
    assert (row.decision_row, row.client_notes) == ("D1", "I bring cake")


@pytest.mark.django_db(transaction=True)
def test_a_missing_lock_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    two_at_once_do_not_undo_each_other(world)
    no_row_lock(monkeypatch)
    with pytest.raises(AssertionError):
        two_at_once_do_not_undo_each_other(world)
