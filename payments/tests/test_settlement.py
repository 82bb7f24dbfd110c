"""Settling a flow: facts, verdict, calls, jobs and history are written together, once, and agree with `decide`."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bookings.attention import close_attention, raise_attention
from bookings.facts import AttentionKind, BookingStatus, IntentKind, Outcome, PaymentStatus
from bookings.lifecycle import decide
from bookings.locked import LockedFlow
from bookings.models import Attention, Booking, BookingFlow, Intent, TimelineEntry
from bookings.records import record_claim, record_gone, record_invitee
from payments import acting
from payments.loading import flow_facts, needs_approval
from payments.models import Payment
from payments.records import close_intent, record_checkout, record_dispute, record_payment, record_refund
from payments.settlement import settle, settled_flow
from payments.tests.rows import (
    DAY,
    HEARD,
    HOUR,
    MINUTE,
    PRICE,
    SECOND,
    START,
    T0,
    TOLD,
    ask_to_cancel,
    begun,
    booked,
    cancelled_json,
    charge_seen,
    checkout_seen,
    dispute_seen,
    forget_jobs,
    hear,
    invitee_json,
    invitee_seen,
    jobs,
    last_line,
    opened,
    opening,
    paid,
    payment_seen,
    refund_seen,
    refunded,
    staff_refund,
    time_passes,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
TABLES = (
    *("bookings_bookingflow", "bookings_booking", "bookings_rescheduleedge", "bookings_intent", "bookings_attention"),
    *("bookings_timelineentry", "payments_checkout", "payments_payment", "payments_refund", "payments_dispute"),
    "procrastinate_jobs",
)


def contents() -> list[tuple[object, ...]]:
    """Every column of every row that settling may touch, and the jobs."""
    found = []
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT '{table}', t::text FROM {table} t ORDER BY 2")  # noqa: S608  # our own names
            found += cursor.fetchall()
    return found


def stored(flow: BookingFlow) -> BookingFlow:
    return BookingFlow.objects.get(pk=flow.pk)


def open_attention(flow: BookingFlow) -> list[tuple[str, str]]:
    return sorted(Attention.objects.filter(flow=flow, closed_at=None).values_list("kind", "object_id"))


# Together or not at all.


def test_facts_verdict_calls_jobs_and_history_are_written_together():
    forget_jobs()
    flow = begun()
    hear(flow, invitee_seen())
    intent = opening(flow)
    assert (intent.amount_minor, intent.currency, intent.why) == (PRICE, "USD", "payable")
    assert (intent.created_at, intent.next_at, intent.expires_at) == (T0, T0, T0 + 35 * MINUTE)
    assert jobs() == [("payments.act", {"intent_id": intent.id})]
    assert Booking.objects.get().status == BookingStatus.PENDING
    assert (stored(flow).payment_status, stored(flow).hold_ends_at) == (PaymentStatus.UNPAID, T0 + 30 * MINUTE)
    assert [line.what for line in TimelineEntry.objects.order_by("id")] == [
        "Calendly: Ann Client is booked",
        "Due: open_checkout (payable)",
    ]


def test_an_error_inside_leaves_nothing_behind():
    flow = begun()
    before = contents()

    def breaks_off() -> None:
        with settled_flow(flow.id, TOLD) as locked:
            record_invitee(locked, invitee_seen())
            settle(locked)
            assert contents() != before
            raise RuntimeError

    with pytest.raises(RuntimeError):
        breaks_off()
    assert contents() == before


def test_an_unknown_flow_is_an_error_of_its_own():
    with pytest.raises(BookingFlow.DoesNotExist), settled_flow("bf_UNKNOWN", TOLD):
        pass


def test_settling_twice_changes_nothing(clock):
    flow = booked()
    opened(flow)
    paid(flow)
    ask_to_cancel(flow)
    with settled_flow(flow.id, HEARD) as locked:
        record_dispute(locked, dispute_seen())
    before = contents()
    time_passes(flow)
    clock.shift(MINUTE)
    time_passes(flow)
    with settled_flow(flow.id, HEARD) as locked:
        settle(locked)
        settle(locked)
    assert contents() == before


def test_a_flow_is_settled_in_few_statements_whatever_its_size():
    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            time_passes(flow)
        return len(queries)

    flow = booked()
    opened(flow)
    paid(flow)
    before = statements()
    for number in range(2, 12):
        with settled_flow(flow.id, HEARD) as locked:
            record_invitee(locked, invitee_seen(invitee_id=f"A{number}", old=f"A{number - 1}" if number > 2 else "A"))
            record_payment(locked, charge_seen(f"pi_{number}", metadata={}))
    after = statements()
    assert before <= 16
    assert after - before <= 10, "one for what is reserved of each further payment"


# History.


def test_every_line_of_the_history_says_who_and_why():
    flow = booked()
    opened(flow)
    paid(flow)
    ask_to_cancel(flow)
    lines = TimelineEntry.objects.order_by("id")
    told_by = {(line.who, line.cause_kind, line.cause_id, line.user_id) for line in lines}
    assert told_by == {
        ("calendly", "delivery", "calendly:1", None),
        ("stripe", "delivery", "stripe:evt_1", None),
        ("client", "request", "req-1", 7),
    }
    decided = lines.get(what__startswith="Decided")
    assert decided.what == "Decided: D1, 100 % back, by staff"
    booking = Booking.objects.get()
    last = last_line(flow)
    assert last.before == {booking.id: BookingStatus.CONFIRMED, "payment": PaymentStatus.PAID}
    assert last.after == {**last.before, "decision": "D1 100 %"}
    assert {line.at for line in lines} == {T0}


def test_what_only_time_changed_has_a_line_of_its_own(clock):
    flow = booked(price=0)
    lines = TimelineEntry.objects.count()
    clock.move_to(START + HOUR)
    time_passes(flow)
    line = last_line(flow)
    assert (TimelineEntry.objects.count(), line.what) == (lines + 1, "Time passed")
    assert (line.who, line.cause_kind) == ("system", "clock")
    assert line.after == {Booking.objects.get().id: BookingStatus.COMPLETED, "payment": PaymentStatus.PAID}


@pytest.mark.parametrize(
    "change", ["UPDATE bookings_timelineentry SET what = 'x'", "DELETE FROM bookings_timelineentry"]
)
def test_history_cannot_be_changed(change):
    booked()
    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)
    assert not TimelineEntry.objects.filter(what="x").exists()
    assert TimelineEntry.objects.count() == 2


# The verdict as it is stored.


def test_the_decision_is_written_once(clock):
    flow = booked()
    ask_to_cancel(flow, percent=30)
    before = stored(flow)
    clock.shift(MINUTE)
    hear(flow, invitee_seen(cancelled_json(by="host")))
    after = stored(flow)
    assert (after.decision_row, after.decision_percent, after.decision_at) == ("D1", 30, T0)
    assert after.decision_by == before.decision_by == "staff"


def test_the_next_moment_of_change_is_kept_and_is_always_ahead(clock):
    flow = booked()
    assert stored(flow).wake_at == T0 + 30 * MINUTE
    opened(flow)
    seen = []
    for _ in range(5):
        at = stored(flow).wake_at
        assert at
        assert at > timezone.now()
        clock.move_to(at)
        time_passes(flow)
        seen.append(at)
    assert sorted(set(seen)) == seen


def test_what_waits_for_nothing_has_no_next_moment(clock):
    flow = booked(price=0)
    clock.move_to(START + 2 * HOUR)
    time_passes(flow)
    assert stored(flow).wake_at is None


def test_what_is_reserved_of_a_payment_follows_its_refunds(clock):
    flow = booked()
    opened(flow)
    paid(flow)

    def reserved() -> int:
        return Payment.objects.get().refund_intended_minor

    first = staff_refund(flow, 5_000)
    assert reserved() == 5_000
    with settled_flow(flow.id, HEARD) as locked:
        close_intent(locked, first, Outcome.REJECTED)
    assert reserved() == 0
    second = staff_refund(flow, 7_000)
    assert reserved() == 7_000
    refunded(flow, 7_000, "pending", intent=second)
    assert reserved() == 7_000
    refunded(flow, 7_000, "succeeded", intent=second)
    assert reserved() == 7_000
    refunded(flow, 7_000, "failed", intent=second)
    assert reserved() == 0
    refunded(flow, 4_000, id="re_dashboard")
    assert reserved() == 0, "not ours"


def test_lastupdated_says_when_something_was_new(clock):
    flow = booked()
    clock.shift(MINUTE)
    time_passes(flow)
    assert stored(flow).updated_at == T0
    opened(flow)
    assert stored(flow).updated_at == T0 + MINUTE
    assert Booking.objects.get().updated_at == T0, "the booking stands as it stood"


def test_lastupdated_stays_while_time_passes_and_nothing_comes_of_it(clock):
    flow = booked(price=0)
    clock.move_to(START)
    time_passes(flow)
    row = stored(flow)
    assert (row.wake_at, row.settled_at, row.updated_at) == (START + HOUR, START, T0)


def test_a_call_that_is_not_wanted_any_more_is_withdrawn_and_says_so():
    flow = booked()
    ask_to_cancel(flow)
    intent = opening(flow)
    assert (intent.outcome, intent.closed_at, intent.note) == (Outcome.WITHDRAWN, T0, "No longer wanted")
    assert TimelineEntry.objects.filter(what="No longer wanted: open_checkout").count() == 1


# Attention.


def test_attention_is_opened_once_and_closes_by_itself(clock):
    flow = booked()
    opened(flow)
    paid(flow, amount=5_000)
    assert open_attention(flow) == [(AttentionKind.AMOUNT_MISMATCH, "pi_1")]
    time_passes(flow)
    assert Attention.objects.count() == 1
    clock.shift(MINUTE)
    refunded(flow, 5_000)
    row = Attention.objects.get()
    assert (row.closed_at, row.resolved_by, row.note) == (T0 + MINUTE, None, "It no longer holds")
    refunded(flow, 5_000, "failed")
    assert open_attention(flow) == [(AttentionKind.AMOUNT_MISMATCH, "pi_1")]
    assert Attention.objects.count() == 2
    whats = list(TimelineEntry.objects.filter(what__contains="attention").values_list("what", flat=True))
    assert whats == [
        "Needs attention: AMOUNT_MISMATCH",
        "No longer needs attention: AMOUNT_MISMATCH",
        "Needs attention: AMOUNT_MISMATCH",
    ]


def test_attention_that_staff_resolved_is_not_raised_again():
    flow = booked()
    opened(flow)
    paid(flow, amount=5_000)
    staff = User.objects.create(username="staff")
    Attention.objects.update(resolved_by=staff, closed_at=T0, note="He knows")
    time_passes(flow)
    hear(flow, invitee_seen(cancelled_json()))
    assert (AttentionKind.AMOUNT_MISMATCH, "pi_1") not in open_attention(flow)
    assert Attention.objects.filter(kind=AttentionKind.AMOUNT_MISMATCH).get().note == "He knows"


def test_attention_that_a_room_raised_itself_is_not_closed_by_a_verdict():
    flow = booked()
    for _ in range(2):
        raise_attention(AttentionKind.FRAUD_WARNING, "ch_1", flow_id=flow.id, text="a dispute is expected")
    time_passes(flow)
    assert open_attention(flow) == [(AttentionKind.FRAUD_WARNING, "ch_1")]
    close_attention(AttentionKind.FRAUD_WARNING, "ch_1")
    assert open_attention(flow) == []
    raise_attention(AttentionKind.FRAUD_WARNING, "ch_1", flow_id=flow.id)
    assert Attention.objects.count() == 2


# Reading the rows.


def test_the_facts_say_what_the_rows_say(clock):
    flow = booked()
    opened(flow)
    paid(flow)
    clock.shift(MINUTE)
    staff_refund(flow, 1_000, needs_approval=True)
    with settled_flow(flow.id, HEARD) as locked:
        record_dispute(locked, dispute_seen("warning_needs_response", is_charge_refundable=True))
        facts = flow_facts(locked)
    (dispute,) = facts.disputes
    assert (dispute.inquiry, dispute.refundable, dispute.recorded_at) == (True, True, T0 + MINUTE)
    asked = facts.intents[-1]
    assert (asked.automatic, asked.awaits_approval, asked.started, asked.amount) == (False, True, False, 1_000)
    (money,) = facts.payments
    assert (money.captured, money.captured_at, money.provisional) == (PRICE, T0, False)
    assert money.intent_id == facts.intents[0].id
    assert (facts.hold, facts.tiers[0].percent) == (30 * MINUTE, 100)


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("Cancelled. Reference: it_0123456789ABCDEFGHJKMNPQRS", True),
        ("Cancelled. Reference: it_0123456789ABCDEFGHJKMNPQRS.\n", True),
        ("it_0123456789ABCDEFGHJKMNPQRS is what I wanted to talk about", False),
        ("exit_0123456789ABCDEFGHJKMNPQRS", False),
        ("", False),
    ],
)
def test_a_reason_that_ends_in_our_reference_is_ours(reason, ours):
    flow = booked(price=0)
    hear(flow, invitee_seen(cancelled_json(reason=reason)))
    with settled_flow(flow.id, TOLD) as locked:
        cancelled = flow_facts(locked).bookings[0].cancelled
    assert cancelled is not None
    assert (cancelled.reference is not None) is ours


@pytest.mark.parametrize(("limits", "needed"), [({}, [False, False, False]), ({"USD": 500}, [False, True, True])])
def test_a_second_person_is_needed_above_the_limit_and_for_currencies_without_one(settings, limits, needed):
    settings.REFUND_APPROVAL_ABOVE = limits
    assert [needs_approval("USD", 500), needs_approval("USD", 501), needs_approval("EUR", 1)] == needed


# LIFECYCLE I8, after whatever happened.


class Chance:
    """Random news of one flow, as doors and workers would record it."""

    def __init__(self, flow: BookingFlow, random: Random) -> None:
        self.flow, self.random = flow, random
        self.payments, self.invitees = ["pi_1", "pi_2"], ["A", "B", "C"]

    def happens(self, locked: LockedFlow) -> None:
        pick: Callable[[Any], Any] = self.random.choice
        pick([self.invitee, self.invitee, self.checkout, self.checkout, self.money, self.refund, self.dispute,
              self.request, self.claim, self.gone, self.answer])(locked)  # fmt: skip

    def invitee(self, locked: LockedFlow) -> None:
        number = self.random.randrange(3)
        name, old = self.invitees[number], self.invitees[number - 1] if number else ""
        new = self.invitees[number + 1] if number < 2 else ""
        created = T0 + number * HOUR
        resource = self.random.choice(
            [
                invitee_json(name, old=old),
                cancelled_json(name, old=old, new=new, rescheduled=bool(new)),
                cancelled_json(name, created, old=old, by=self.random.choice(["host", "invitee"])),
            ]
        )
        record_invitee(locked, invitee_seen(resource))

    def intent(self, locked: LockedFlow, kind: IntentKind) -> Intent | None:
        return self.random.choice([None, *Intent.objects.filter(flow=locked.row, kind=kind).order_by("pk")])

    def checkout(self, locked: LockedFlow) -> None:
        intent = self.intent(locked, IntentKind.OPEN_CHECKOUT)
        if intent:
            status = self.random.choice(["open", "complete", "expired"])
            paid = self.random.choice(self.payments) if status == "complete" else None
            seen = checkout_seen(intent, status, paid, id=f"cs_test_{intent.id}")
            record_checkout(locked, seen, happened_at=locked.now, read=self.random.random() < 0.3)

    def money(self, locked: LockedFlow) -> None:
        name, amount = self.random.choice(self.payments), self.random.choice([PRICE, PRICE, 5_000])
        intent = self.intent(locked, IntentKind.OPEN_CHECKOUT)
        record_payment(locked, self.random.choice([payment_seen(intent, name, amount), charge_seen(name, amount)]),
                       happened_at=locked.now, read=self.random.random() < 0.5)  # fmt: skip

    def refund(self, locked: LockedFlow) -> None:
        intent = self.intent(locked, IntentKind.REFUND)
        status = self.random.choice(["pending", "succeeded", "failed"])
        seen = (
            refund_seen(intent.amount_minor, status, intent, id=f"re_{intent.id}", payment_intent=intent.target)
            if intent
            else refund_seen(1_000, status, id=f"re_{self.random.randrange(3)}")
        )
        record_refund(locked, seen)

    def dispute(self, locked: LockedFlow) -> None:
        if Payment.objects.filter(pk="pi_1", captured_minor__gt=0).exists():
            status = self.random.choice(["warning_needs_response", "warning_closed", "needs_response", "won", "lost"])
            record_dispute(locked, dispute_seen(status, 5_000))

    def request(self, locked: LockedFlow) -> None:
        row = locked.row
        if self.random.random() < 0.2 and not row.cancel_asked_at and not row.decision_row:
            row.cancel_asked_at, row.cancel_asked_by = locked.now, "client"
            locked.save(row, "Cancel asked")

    def claim(self, locked: LockedFlow) -> None:
        if not locked.bookings:
            record_claim(locked, event_id="EV-A", invitee_id="A", start=START)

    def gone(self, locked: LockedFlow) -> None:
        if self.random.random() < 0.1:
            record_gone(locked, f"EV-{self.random.choice(self.invitees)}")

    def answer(self, locked: LockedFlow) -> None:
        intent = Intent.objects.filter(flow=locked.row, outcome=Outcome.OPEN).order_by("?").first()
        if intent:
            close_intent(locked, intent, self.random.choice([Outcome.DONE, Outcome.REJECTED]))


def assert_stored_as_decided(flow: BookingFlow) -> None:
    """LIFECYCLE I8 and I2: the stored verdict is that of the facts at the time when they were settled."""
    row = BookingFlow.objects.select_related("session_type").get(pk=flow.pk)
    bookings = list(row.bookings.order_by("created_at", "id"))
    at = row.settled_at or row.created_at
    verdict = decide(flow_facts(LockedFlow(row, bookings, list(row.edges.all()), TOLD, now=at)), at)
    assert (row.payment_status, row.disputed) == (verdict.payment_status, verdict.disputed)
    assert (row.hold_ends_at, row.wake_at) == (verdict.hold_ends_at, verdict.wake_at)
    assert row.decision_row == (verdict.decision.row if verdict.decision else "")
    for one in bookings:
        told = verdict.bookings[one.id]
        assert (one.status, one.calendly_status) == (told.status, told.calendly_status)
        assert one.cancellation_pending == told.cancellation_pending
    assert (verdict.intents, verdict.withdrawn) == ((), frozenset())
    open_rows = Attention.objects.filter(flow=row, closed_at=None).values_list("kind", "object_id")
    assert set(open_rows) == set(verdict.attentions)
    for paid_in in Payment.objects.filter(flow=row):
        assert paid_in.refund_intended_minor == verdict.reserved[paid_in.pk] <= paid_in.captured_minor


@pytest.mark.parametrize("seed", range(5))
def test_what_is_stored_is_what_the_facts_say_whatever_happened(clock, seed):
    random = Random(seed)  # noqa: S311  # replays exactly
    flow = begun()
    chance = Chance(flow, random)
    for _ in range(16):
        clock.shift(random.choice([SECOND, MINUTE, 11 * MINUTE, 35 * MINUTE, 9 * HOUR, 2 * DAY]))
        with settled_flow(flow.id, HEARD) as locked:
            chance.happens(locked)
        assert_stored_as_decided(flow)
        if random.random() < 0.3:
            open_ids = (
                Intent.objects.filter(flow=flow, outcome=Outcome.OPEN).order_by("pk").values_list("pk", flat=True)
            )
            for intent_id in open_ids:
                acting.claim(intent_id)
            assert_stored_as_decided(flow)
        before = contents()
        time_passes(flow)
        assert contents() == before
