"""The checker of the books: each invariant broken by hand is found, and nothing is found in books that hold.

A break that no right `decide` would leave standing is one of I8 as well; where that is so, the test says it.
"""

import gc
import io
import json
import logging
import sys
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bookings.facts import IntentKind, Outcome
from bookings.models import Attention, Booking, BookingFlow, TimelineEntry
from operations import books, tasks
from operations.tests import books_world as world
from operations.tests.books_world import named, sql
from payments import acting
from payments.models import Checkout, Dispute, Payment, Refund
from payments.settlement import settled_flow
from payments.tasks import settle_due_flows
from payments.tests.rows import (
    DAY,
    HEARD,
    HOUR,
    MINUTE,
    PRICE,
    SECOND,
    T0,
    ask_to_cancel,
    charge_json,
    listing,
    only,
    opened,
    opening,
    payment_json,
    refund_json,
    time_passes,
)
from payments.tests.wire import Failure, Wire
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(T0, tick=False) as traveller:
        yield traveller


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with Wire() as wire:
        yield wire


def found(since: Any = None) -> list[tuple[str, str]]:
    """What does not hold now, as (invariant, object)."""
    return [(one.invariant, one.object_id) for one in books.findings(timezone.now(), since)]


def numbers() -> list[str]:
    return sorted({invariant for invariant, _ in found()})


# Books that hold.


def test_flows_of_every_kind_hold():
    world.everything()
    assert found() == []


def test_they_hold_for_ever_where_the_sweeper_comes_by(clock):
    world.everything()
    for later in (11 * MINUTE, 40 * MINUTE, DAY + HOUR, 6 * DAY, 11 * DAY):
        clock.move_to(T0 + later)
        while settle_due_flows():
            pass
        # Nobody makes the calls here: that a checkout stays open is what I6 is for, once its intent is given up.
        assert found() == []


# Each invariant, broken.


def test_i2_more_of_ours_goes_back_than_was_captured():
    flow = world.returned()
    sql("ALTER TABLE payments_payment DROP CONSTRAINT payment_refunds_intended_within_captured")
    sql("UPDATE payments_payment SET refund_intended_minor = captured_minor + 1")
    sql("UPDATE payments_refund SET amount_minor = amount_minor + 1")
    sql("UPDATE bookings_intent SET amount_minor = amount_minor + 1 WHERE kind = 'refund'")
    assert found() == [("I2", named(flow, "pi_"))]


def test_i2_a_refund_made_although_the_money_was_lost():
    flow = world.returned()
    payment = Payment.objects.get()
    lost = Dispute(dispute_id="dp_1", payment=payment, amount_minor=PRICE, currency="USD", status="lost", made_at=T0)
    lost.recorded_at = T0 + SECOND
    lost.save()
    assert found() == []  # heard of after the refund: not our doing
    sql("UPDATE payments_dispute SET recorded_at = %s", T0 - SECOND)
    assert found() == [("I2", only(flow, IntentKind.REFUND).id)]


def test_i3_two_refunds_for_one_intent():
    flow = world.returned()
    first = Refund.objects.get()
    sql("ALTER TABLE payments_refund DROP CONSTRAINT payments_refund_intent_id_key")
    Refund.objects.create(
        refund_id="re_2",
        payment=first.payment,
        intent=first.intent,
        amount_minor=0,
        currency="USD",
        status="succeeded",
        made_at=T0,
    )
    assert found() == [("I3", only(flow, IntentKind.REFUND).id)]


def test_i3_an_intent_that_is_done_and_made_nothing():
    flow = world.confirmed()
    Checkout.objects.update(intent=None)
    assert found() == [("I3", opening(flow).id)]


def test_i3_a_session_for_an_intent_of_another_flow():
    flow, other = world.confirmed(), world.booked()
    own = opening(flow).id
    Checkout.objects.update(intent=opening(other))
    assert found() == [("I3", own), ("I3", named(flow, "cs_"))]


def test_i3_a_refund_for_an_intent_about_another_payment():
    flow = world.returned()
    sql("UPDATE bookings_intent SET target = 'pi_other' WHERE kind = 'refund'")
    # With it goes what that intent has reserved of the payment, which is I8.
    assert found() == [("I3", named(flow, "re_")), ("I8", named(flow, "pi_"))]


def test_i3_a_payment_for_an_intent_of_another_flow():
    flow, other = world.confirmed(), world.booked()
    Payment.objects.update(intent=opening(other))
    # It does not match any more either, so the stored verdict is not what follows from it.
    assert ("I3", named(flow, "pi_")) in found()
    assert numbers() == ["I3", "I8"]


def test_i3_an_unmatched_payment_that_is_not_marked():
    flow = world.unmatched()
    Attention.objects.all().delete()
    assert found() == [("I3", named(flow, "pi_")), ("I8", named(flow, "pi_"))]


def test_i4_paid_and_unseen_and_nobody_is_told(clock):
    flow = world.paid_unseen()
    clock.shift(12 * MINUTE)
    settle_due_flows()
    assert found() == []
    Attention.objects.all().delete()
    assert found() == [("I4", flow.id), ("I8", flow.id)]


def test_i5_a_slot_that_an_ended_flow_still_holds(clock):
    world.ended()
    sql("UPDATE bookings_intent SET outcome = 'done', closed_at = %s WHERE kind = 'cancel_event'", T0)
    clock.shift(15 * MINUTE)
    assert numbers() == ["I8"]
    clock.shift(MINUTE)
    # I8 as well: such a cancel would have been noticed 10 min after its answer.
    assert ("I5", Booking.objects.get().id) in found()
    assert numbers() == ["I5", "I8"]


def test_i6_a_checkout_that_stays_open_after_the_end(clock):
    flow = world.booked()
    opened(flow, named(flow, "cs_"))
    ask_to_cancel(flow)
    expire = only(flow, IntentKind.EXPIRE_CHECKOUT)
    acting.claim(expire.id)
    world.close(expire, Outcome.REJECTED)
    clock.shift(5 * MINUTE)
    assert found() == []
    clock.shift(SECOND)
    assert found() == [("I6", named(flow, "cs_"))]


@pytest.mark.parametrize(("state", "reason"), [("", "why"), ("lost", "why"), ("parked", ""), ("ignored", "")])
def test_i7_a_delivery_that_nobody_accounts_for(state, reason):
    usual = {"provider": "stripe", "name": "charge.updated", "body": b"{}", "next_at": T0}
    for number, fine in enumerate(({"state": "due"}, {"state": "processed"}, {"state": "parked", "reason": "x"})):
        Delivery.objects.create(id=f"stripe:{number}", **usual, **fine)
    assert found() == []
    Delivery.objects.create(id="stripe:evt", state=state, reason=reason, **usual)
    assert found() == [("I7", "stripe:evt")]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE bookings_bookingflow SET payment_status = 'UNPAID'",
        "UPDATE bookings_bookingflow SET disputed = true",
        "UPDATE bookings_bookingflow SET hold_ends_at = hold_ends_at + interval '1 second'",
        "UPDATE bookings_bookingflow SET wake_at = NULL",
        "UPDATE bookings_bookingflow SET settled_at = settled_at + interval '11 days'",
        "UPDATE bookings_booking SET status = 'CANCELLED'",
        "UPDATE bookings_booking SET calendly_status = 'CANCELLED'",
        "UPDATE bookings_booking SET cancellation_pending = true",
        "UPDATE payments_payment SET refund_intended_minor = 1",
        "UPDATE payments_payment SET provisional = true",
    ],
)
def test_i8_a_verdict_that_does_not_follow(change):
    world.confirmed()
    assert found() == []
    sql(change)
    assert numbers() == ["I8"]


def test_i8_a_decision_that_was_not_written(clock):
    flow = world.booked()
    clock.shift(31 * MINUTE)
    time_passes(flow)
    assert BookingFlow.objects.get().decision_row == "D4"
    sql("UPDATE bookings_bookingflow SET decision_row = '', decision_at = NULL, decision_percent = NULL")
    told = {one.text.partition(" ")[0] for one in books.findings(timezone.now()) if one.invariant == "I8"}
    assert "decision" in told


def test_i8_an_attention_that_should_not_be_open():
    flow = world.confirmed()
    Attention.objects.create(kind="EVENT_GONE", object_id="bk_1", flow=flow, derived=True)
    assert found() == [("I8", "bk_1")]


def test_i8_an_open_call_that_nobody_wants():
    flow = world.booked()
    opened(flow, named(flow, "cs_"))
    sql("UPDATE bookings_intent SET outcome = 'open', closed_at = NULL")
    assert found() == [("I8", opening(flow).id)]


def test_i8_a_row_that_says_what_no_code_writes():
    flow = world.confirmed()
    sql("UPDATE payments_checkout SET status = 'lost'")
    assert found() == [("I8", flow.id)]


def test_i8_a_flow_that_the_sweeper_forgot(clock):
    flow = world.booked()
    clock.move_to(T0 + 30 * MINUTE + MINUTE)
    assert found() == []
    clock.shift(SECOND)
    assert found() == [("I8", flow.id)]


@pytest.mark.parametrize("kind", [IntentKind.REFUND, IntentKind.CANCEL_EVENT])
@pytest.mark.parametrize("why", ["", "D2", "because"])
def test_i9_a_call_without_a_cause(kind, why):
    flow = world.ended()
    sql("UPDATE bookings_intent SET why = %s WHERE kind = %s", why, kind)
    assert found() == [("I9", only(flow, kind).id)]


@pytest.mark.parametrize(
    "line",
    [
        {"who": ""},
        {"who": "somebody"},
        {"who": "staff"},
        {"cause_kind": ""},
        {"cause_kind": "delivery", "cause_id": ""},
        {"what": ""},
    ],
)
def test_i10_a_line_that_does_not_say_who_or_why(line):
    usual = {"flow": world.booked(), "who": "stripe", "what": "News", "cause_kind": "delivery", "cause_id": "stripe:1"}
    TimelineEntry.objects.create(**usual)
    TimelineEntry.objects.create(**usual | {"who": "staff", "user_id": 1})
    TimelineEntry.objects.create(**usual | {"who": "system", "cause_kind": "clock", "cause_id": ""})
    assert found() == []
    entry = TimelineEntry.objects.create(**usual | line)
    assert found() == [("I10", str(entry.pk))]


def test_i11_an_open_call_without_a_next_time():
    flow = world.booked()
    sql("ALTER TABLE bookings_intent ALTER COLUMN next_at DROP NOT NULL")
    sql("UPDATE bookings_intent SET next_at = NULL")
    assert found() == [("I11", opening(flow).id)]


def test_i11_a_call_open_for_more_than_a_day_and_nobody_is_told(clock):
    flow = world.ended()
    clock.shift(DAY + 2 * MINUTE)
    while settle_due_flows():
        pass
    assert found() == []
    cancel = only(flow, IntentKind.CANCEL_EVENT).id
    Attention.objects.filter(object_id=cancel).delete()
    assert found() == [("I8", cancel), ("I11", cancel)]


# I1: at Stripe.


def stripe_has(wire: Wire, flow: BookingFlow, *refunds: Any, amount: int = PRICE, **lists: Any) -> None:
    payment_id = named(flow, "pi_")
    payment = payment_json(opening(flow), payment_id, amount, charge_json(payment_id, amount))
    wire.answers(f"GET /v1/payment_intents/{payment_id}", payment)
    wire.answers("GET /v1/refunds", listing(*refunds))
    wire.answers("GET /v1/disputes", listing())


def verify(*arguments: str) -> int:
    """The exit code."""
    try:
        call_command("verify_books", *arguments)
    except SystemExit as ended:
        return int(str(ended.code))
    return 0


def test_i1_sums_that_are_stripes_are_no_finding(wire, capsys):
    flow = world.returned()
    intent = only(flow, IntentKind.REFUND)
    stripe_has(wire, flow, refund_json(PRICE, "succeeded", intent, **world.of(flow)))
    assert verify("--providers") == 0
    assert capsys.readouterr().out == ""
    assert {call.method for call in wire.calls} == {"GET"}


@pytest.mark.parametrize(
    ("amount", "refunds", "told"),
    [
        (PRICE - 1, [], "captured USD: 12000 here, 11999 at Stripe"),
        (PRICE, [(PRICE, "succeeded")], "refund succeeded USD: 0 here, 12000 at Stripe"),
        (PRICE, [(PRICE, "pending")], "refund pending USD: 0 here, 12000 at Stripe"),
    ],
)
def test_i1_a_sum_that_is_not_stripes(amount, refunds, told, wire, capsys):
    flow = world.confirmed()
    stripe_has(wire, flow, *(refund_json(*one, **world.of(flow)) for one in refunds), amount=amount)
    assert verify("--providers") == 2
    assert capsys.readouterr().out == f"I1   {flow.id}  {named(flow, 'pi_')}  {told}\n"


def test_i1_a_payment_that_stripe_does_not_know(wire, capsys):
    flow = world.confirmed()
    wire.answers(f"GET /v1/payment_intents/{named(flow, 'pi_')}", Failure(404, "No such payment_intent"))
    assert verify("--providers") == 2
    assert "Stripe knows no such payment" in capsys.readouterr().out


def test_i3_two_refunds_at_stripe_for_one_intent(wire, capsys):
    flow = world.returned()
    intent = only(flow, IntentKind.REFUND)
    twice = [refund_json(PRICE, "succeeded", intent, id=one, **world.of(flow)) for one in (named(flow, "re_"), "re_x")]
    stripe_has(wire, flow, *twice)
    assert verify("--providers") == 2
    assert f"2 refunds were made for {intent.id}" in capsys.readouterr().out


def test_stripe_being_away_is_left_for_a_person(wire):
    flow = world.confirmed()
    wire.answers(f"GET /v1/payment_intents/{named(flow, 'pi_')}", Failure(503))
    with pytest.raises(CommandError, match="Stripe could not be read") as refused:
        verify("--providers")
    assert refused.value.returncode == 2


# The command and the jobs.


def test_the_command_says_nothing_of_books_that_hold(capsys):
    world.everything()
    assert verify() == 0
    assert capsys.readouterr() == ("", "")


def test_the_command_says_one_finding_a_line(capsys):
    flow = world.confirmed()
    sql("UPDATE bookings_bookingflow SET disputed = true")
    assert verify() == 2
    text = "disputed is True, and should be False"
    assert capsys.readouterr() == (f"I8   {flow.id}  {flow.id}  {text}\n", "")
    assert verify("--json") == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"invariant": "I8", "flow": flow.id, "object": flow.id, "text": text}


def confirmed_long_ago(clock: time_machine.Traveller) -> BookingFlow:
    """More than two hours, and the sweeper has been there since."""
    flow = world.confirmed()
    clock.shift(HOUR)
    time_passes(flow)
    clock.shift(3 * HOUR)
    return flow


def test_recent_looks_at_what_changed_and_at_what_was_forgotten(clock, capsys):
    old = confirmed_long_ago(clock)
    new = world.confirmed()
    for flow in (old, new):
        TimelineEntry.objects.create(flow=flow, who="", what="News", cause_kind="clock")
    sql("UPDATE bookings_bookingflow SET disputed = true")
    assert verify("--recent", "2") == 2
    assert {line.split()[1] for line in capsys.readouterr().out.splitlines()} == {new.id}
    sql("UPDATE bookings_bookingflow SET wake_at = %s WHERE id = %s", T0, old.id)
    assert verify("--recent", "2") == 2
    assert {line.split()[1] for line in capsys.readouterr().out.splitlines()} == {old.id, new.id}


def test_a_terminal_sees_a_progress_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    world.confirmed()
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert verify() == 0
    assert "0/1" in terminal.getvalue()  # the clock stands still, so it is drawn once


@pytest.mark.parametrize(("job", "finds"), [(tasks.verify_recent, 1), (tasks.verify_all, 2)])
def test_the_jobs_log_each_finding_as_an_error(job, finds, clock, caplog):
    confirmed_long_ago(clock)
    world.confirmed()
    sql("UPDATE bookings_bookingflow SET disputed = true")
    job(timestamp=0)
    told = [one for one in caplog.records if one.name == "operations.tasks"]
    assert [one.levelno for one in told] == [logging.ERROR] * finds


# The bounds.


def statements() -> int:
    with CaptureQueriesContext(connection) as captured:
        assert found() == []
    return len(captured)


def most_held() -> int:
    """Bytes in use at a time, garbage aside; looked at once in every chunk."""
    held: list[int] = []

    def look() -> None:
        if next(flows) % books.CHUNK == books.CHUNK // 2:
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])

    flows = count(1)
    tracemalloc.start()
    assert list(books.findings(timezone.now(), checked=look)) == []
    tracemalloc.stop()
    return max(held)


def test_statements_grow_with_the_chunks_and_memory_with_neither():
    for_none = statements()
    flow = world.booked(price=0)
    a_chunk = statements() - for_none
    world.cloned(flow, 2 * books.CHUNK - 1)
    at_two_chunks = most_held()
    world.cloned(flow, 2_000 - 1, first=2 * books.CHUNK)
    assert BookingFlow.objects.count() == 2_000
    assert statements() == for_none + a_chunk * 2_000 / books.CHUNK
    assert most_held() < 1.1 * at_two_chunks


@pytest.mark.django_db(transaction=True)
def test_what_changes_meanwhile_is_not_mistaken_for_a_difference(monkeypatch):
    monkeypatch.setattr(books, "CHUNK", 1)
    for _ in range(2):
        world.ended()
    others = ThreadPoolExecutor(max_workers=1)

    def end_both() -> None:
        for intent in BookingFlow.objects.filter(intents__kind=IntentKind.REFUND):
            world.answer_refund(intent)
        connection.close()

    found_meanwhile = list(books.findings(timezone.now(), checked=lambda: others.submit(end_both).result()))
    assert found_meanwhile == []
    assert Refund.objects.count() == 2
    with settled_flow(BookingFlow.objects.latest("pk").pk, HEARD):
        pass  # and nothing of ours stands in the way
