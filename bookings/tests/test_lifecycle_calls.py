"""What becomes due of LIFECYCLE 6, but for refunds: opening, reading and expiring checkouts, cancelling at Calendly."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bookings.facts import AttentionKind, CheckoutStatus, IntentKind, NewIntent, Outcome
from bookings.lifecycle import decide, new_checkout
from bookings.tests.facts_builder import (
    DAY,
    HOLD_END,
    HOUR,
    MINUTE,
    PRICE,
    SECOND,
    START,
    T0,
    Thing,
    booking,
    call,
    cancelled,
    checkout,
    ended,
    flow,
    moved,
    opened,
    paid,
    payment,
    unseen,
    written,
)

OPEN_CHECKOUT, EXPIRE_CHECKOUT = IntentKind.OPEN_CHECKOUT, IntentKind.EXPIRE_CHECKOUT
READ_CHECKOUT, READ_PAYMENT = IntentKind.READ_CHECKOUT, IntentKind.READ_PAYMENT
CANCEL_EVENT = IntentKind.CANCEL_EVENT


def due(*things, at, **changes):
    """The calls that are due, as (kind, target)."""
    return {(intent.kind, intent.target) for intent in decide(flow(*things, **changes), at).intents}


# Open a checkout.


def test_a_checkout_is_opened_when_the_flow_first_becomes_payable():
    (intent,) = decide(flow(booking()), T0).intents
    assert intent == NewIntent(
        OPEN_CHECKOUT, booking_id="bk_A", amount=PRICE, expires_at=T0 + 35 * MINUTE, why="payable"
    )


@pytest.mark.parametrize(
    ("hold", "at", "expires_at"),
    [
        (30 * MINUTE, T0 + 10 * MINUTE, T0 + 45 * MINUTE),
        (35 * MINUTE, T0, T0 + 35 * MINUTE),
        (2 * HOUR, T0 + 10 * MINUTE, T0 + 2 * HOUR),
        (2 * DAY, T0, T0 + timedelta(hours=23, minutes=55)),
        (30 * MINUTE, T0 + timedelta(seconds=1, microseconds=900), T0 + 35 * MINUTE + SECOND),
    ],
)
def test_a_checkout_lasts_as_long_as_the_hold_within_the_bounds_of_stripe(hold, at, expires_at):
    (intent,) = decide(flow(booking(), hold=hold), at).intents
    assert intent.expires_at == expires_at


def test_a_checkout_of_a_booking_without_hold_lasts_35_minutes():
    (intent,) = decide(flow(booking(), direct=True), T0 + HOUR).intents
    assert intent.expires_at == T0 + HOUR + 35 * MINUTE


NOT_PAYABLE = {
    "free": flow(booking(), price=0),
    "waived": flow(booking(), waived=True),
    "paid": flow(booking(), *paid()),
    "decided": flow(booking(), decision=ended()),
    "unseen": flow(unseen()),
    "gone": flow(booking(gone=True)),
    "cancelled": flow(cancelled(booking(), T0, rescheduled=True)),
    "several tips": flow(booking(), booking("B")),
    "no tip": flow(booking(), moved("A", "B")),
    "started": flow(booking(start=T0)),
    "hold over": flow(booking(), opened(9, outcome=Outcome.REJECTED), hold=timedelta(0)),
}


@pytest.mark.parametrize("name", NOT_PAYABLE)
def test_what_is_not_payable_opens_no_checkout(name):
    facts = NOT_PAYABLE[name]
    verdict = decide(facts, T0)
    assert not verdict.payable
    assert OPEN_CHECKOUT not in {intent.kind for intent in verdict.intents}
    assert new_checkout(facts, T0) is None


@pytest.mark.parametrize(
    "before",
    [
        [opened(outcome=Outcome.OPEN)],
        [opened(), checkout()],
        [opened(), checkout(status=CheckoutStatus.EXPIRED)],
        [opened(outcome=Outcome.REJECTED)],
        [checkout(intent_id=None, status=CheckoutStatus.EXPIRED)],
    ],
    ids=["unanswered", "open", "expired", "refused", "intent lost"],
)
def test_a_checkout_is_opened_by_itself_only_once(before):
    assert (OPEN_CHECKOUT, "") not in due(booking(), *before, at=T0 + MINUTE)


def test_a_checkout_that_was_withdrawn_is_planned_anew():
    withdrawn = opened(outcome=Outcome.WITHDRAWN)
    assert due(booking(), withdrawn, at=T0 + MINUTE) == {(OPEN_CHECKOUT, "")}


def test_a_live_checkout_whose_intent_is_lost_is_enough():
    """A restore may lose the intent (R36); planning another would be withdrawn again, for ever."""
    facts = flow(booking(), checkout(intent_id=None))
    assert decide(facts, T0).intents == ()


def test_another_checkout_when_asked_and_none_is_live():
    expired = checkout(status=CheckoutStatus.EXPIRED)
    another = new_checkout(flow(booking(), opened(), expired), T0 + 10 * MINUTE)
    assert another is not None
    assert (another.amount, another.expires_at) == (PRICE, T0 + 45 * MINUTE)


@pytest.mark.parametrize(
    "live",
    [
        [opened(outcome=Outcome.OPEN)],
        [opened(), checkout()],
        [opened(), checkout(status=CheckoutStatus.COMPLETE, completed_at=T0)],
    ],
    ids=["unanswered", "open", "submitted"],
)
def test_only_one_checkout_is_live(live):
    """R8."""
    assert new_checkout(flow(booking(), *live), T0 + MINUTE) is None
    before: list[Thing] = [opened(2), checkout(2, status=CheckoutStatus.EXPIRED)]
    assert new_checkout(flow(booking(), *before, *live), T0 + MINUTE) is None
    assert new_checkout(flow(booking(), *before), T0 + MINUTE) is not None


def test_an_unpaid_booking_that_is_rescheduled_keeps_its_checkout():
    """R20: the new hold runs, so the old checkout is not expired either."""
    second = booking("B", recorded_at=T0 + 20 * MINUTE)
    verdict = decide(flow(booking(), second, moved("A", "B"), opened(), checkout()), T0 + 32 * MINUTE)
    assert (verdict.intents, verdict.payable) == ((), True)


# Read a checkout, or a payment.


def test_an_open_checkout_past_its_end_is_read_and_again_ten_minutes_later():
    session, end = checkout(), T0 + 35 * MINUTE
    facts = [booking(), opened(), call(EXPIRE_CHECKOUT, "cs_1", started=True)]
    assert due(*facts, session, at=end - SECOND) == set()
    assert due(*facts, session, at=end) == {(READ_CHECKOUT, "cs_1")}
    assert due(*facts, replace(session, read_at=end - MINUTE), at=end) == {(READ_CHECKOUT, "cs_1")}
    read = replace(session, read_at=end)
    assert due(*facts, read, at=end + 10 * MINUTE - SECOND) == set()
    assert due(*facts, read, at=end + 10 * MINUTE) == {(READ_CHECKOUT, "cs_1")}


def test_a_submitted_checkout_without_a_result_is_read_after_ten_minutes_and_then_each_hour():
    submitted = T0 + MINUTE
    session = checkout(status=CheckoutStatus.COMPLETE, completed_at=submitted)
    first = submitted + 10 * MINUTE
    assert due(booking(), opened(), session, at=first - SECOND) == set()
    assert due(booking(), opened(), session, at=first) == {(READ_CHECKOUT, "cs_1")}
    read = replace(session, read_at=first)
    assert due(booking(), opened(), read, at=first + HOUR - SECOND) == set()
    assert due(booking(), opened(), read, at=first + HOUR) == {(READ_CHECKOUT, "cs_1")}


def test_a_checkout_with_an_end_is_not_read():
    assert due(booking(), *paid(), at=T0 + DAY) == set()
    assert due(booking(), opened(), checkout(status=CheckoutStatus.EXPIRED), decision=ended(), at=START) == set()


def test_money_whose_time_is_provisional_is_read_at_once_and_again_ten_minutes_later():
    at = T0 + 5 * MINUTE
    money = payment(provisional=True)
    assert due(booking(), opened(), money, at=at) == {(READ_PAYMENT, "pi_1")}
    read = replace(money, read_at=at)
    assert due(booking(), opened(), read, at=at + 10 * MINUTE - SECOND) == set()
    assert due(booking(), opened(), read, at=at + 10 * MINUTE) == {(READ_PAYMENT, "pi_1")}
    assert due(booking(), opened(), replace(read, provisional=False), at=at + DAY) == set()
    assert due(booking(), opened(), payment(amount=0, provisional=True), decision=ended(), at=START) == set()


def test_a_read_may_be_repeated_for_as_long_as_it_takes():
    done = [call(READ_CHECKOUT, "cs_1", f"it_{n}", outcome=Outcome.DONE, started=True) for n in range(9)]
    session = checkout(status=CheckoutStatus.COMPLETE, completed_at=T0, read_at=T0 + HOUR)
    assert due(booking(), opened(), session, *done, at=T0 + 2 * HOUR) == {(READ_CHECKOUT, "cs_1")}


def test_a_refused_read_is_not_repeated_and_raised():
    refused = call(READ_PAYMENT, "pi_1", outcome=Outcome.REJECTED, started=True)
    verdict = decide(flow(booking(), opened(), payment(provisional=True), refused), T0 + HOUR)
    assert verdict.intents == ()
    assert verdict.attentions == {(AttentionKind.CALL_REFUSED, "it_read_payment")}


# Expire a checkout.

TO_EXPIRE = {
    "decided": flow(booking(), opened(), checkout(), decision=ended()),
    "paid by another": flow(booking(), *paid(2), opened(), checkout()),
    "waived": flow(booking(), opened(), checkout(), waived=True),
    "hold over": flow(booking(), opened(), checkout(), hold=10 * MINUTE),
    "started": flow(booking(start=T0 + 10 * MINUTE), opened(), checkout(), direct=True),
}


@pytest.mark.parametrize("name", TO_EXPIRE)
def test_an_open_checkout_that_nobody_may_pay_is_expired(name):
    facts = TO_EXPIRE[name]
    (expiry,) = [due for due in decide(facts, T0 + 10 * MINUTE).intents if due.kind is EXPIRE_CHECKOUT]
    why = {"decided": "D1", "paid by another": "paid", "waived": "paid"}.get(name, name)
    assert expiry == NewIntent(EXPIRE_CHECKOUT, "cs_1", why=why)
    for status in (CheckoutStatus.COMPLETE, CheckoutStatus.EXPIRED):
        settled = tuple(replace(one, status=status) if one.session_id == "cs_1" else one for one in facts.checkouts)
        intents = decide(replace(facts, checkouts=settled), T0 + 10 * MINUTE).intents
        assert EXPIRE_CHECKOUT not in {intent.kind for intent in intents}


@pytest.mark.parametrize("name", ["hold over", "started"])
def test_a_checkout_is_not_expired_a_second_too_soon(name):
    assert decide(TO_EXPIRE[name], T0 + 10 * MINUTE - SECOND).intents == ()


def test_a_checkout_is_not_expired_while_it_may_be_paid():
    assert due(booking(), opened(), checkout(), at=HOLD_END - SECOND) == set()


def test_an_expiry_without_effect_is_tried_three_times_and_then_raised():
    done = [
        call(EXPIRE_CHECKOUT, "cs_1", f"it_{n}", outcome=Outcome.DONE, started=True, closed_at=T0) for n in range(3)
    ]
    elsewhere = [replace(done[2], target="cs_2"), replace(done[2], id="it_4", target="cs_2")]
    facts = flow(booking(), opened(), checkout(), *done[:2], *elsewhere, decision=ended("D1"))
    assert (EXPIRE_CHECKOUT, "cs_1") in {(i.kind, i.target) for i in decide(facts, T0 + MINUTE).intents}
    assert not decide(facts, T0 + MINUTE).attentions
    spent = decide(replace(facts, intents=(*facts.intents, done[2])), T0 + MINUTE)
    assert EXPIRE_CHECKOUT not in {intent.kind for intent in spent.intents}
    assert (AttentionKind.CALL_REFUSED, "cs_1") in spent.attentions
    assert not decide(flow(booking(), opened(), checkout(), *done), T0 + MINUTE).attentions


# Cancel the scheduled event.


@pytest.mark.parametrize("row", ["D1", "D2", "D3", "D4"])
def test_the_tip_of_an_ended_flow_is_cancelled_at_calendly(row):
    (intent,) = decide(flow(booking(), decision=ended(row)), T0 + HOUR).intents
    assert intent == NewIntent(CANCEL_EVENT, "ev_A", booking_id="bk_A", why=row)


def test_a_seen_tip_of_a_flow_that_ended_unseen_is_cancelled():
    assert due(booking(), decision=ended("D4", unseen=True), at=T0 + HOUR) == {(CANCEL_EVENT, "ev_A")}


def test_only_the_new_tip_is_cancelled_after_a_reschedule():
    """R22: whether or not our cancel of the old one was done."""
    done = call(CANCEL_EVENT, "ev_A", outcome=Outcome.DONE, started=True, closed_at=T0 + HOUR)
    chain = [booking(), booking("B"), moved("A", "B")]
    assert due(*chain, decision=ended(), at=T0 + HOUR) == {(CANCEL_EVENT, "ev_B")}
    assert due(*chain, done, decision=ended(), at=T0 + HOUR) == {(CANCEL_EVENT, "ev_B")}


NOTHING_TO_CANCEL = {
    "no decision": flow(booking(), *paid()),
    "unseen": flow(unseen(), decision=ended()),
    "cancelled": flow(cancelled(booking(), T0), decision=ended()),
    "gone": flow(booking(gone=True), decision=ended()),
    "started": flow(booking(start=T0 + HOUR), decision=ended()),
    "several tips": flow(booking(), booking("B"), decision=ended()),
    "done": flow(
        booking(), call(CANCEL_EVENT, "ev_A", outcome=Outcome.DONE, started=True, closed_at=T0), decision=ended()
    ),
    "refused": flow(booking(), call(CANCEL_EVENT, "ev_A", outcome=Outcome.REJECTED, started=True), decision=ended()),
    "waiting": flow(booking(), call(CANCEL_EVENT, "ev_A"), decision=ended()),
}


@pytest.mark.parametrize("name", NOTHING_TO_CANCEL)
def test_an_event_is_not_cancelled_without_need(name):
    assert CANCEL_EVENT not in {intent.kind for intent in decide(NOTHING_TO_CANCEL[name], T0 + HOUR).intents}


def test_an_event_with_other_invitees_is_left_to_a_person():
    verdict = decide(flow(booking(shared=True), decision=ended()), T0 + HOUR)
    assert verdict.intents == ()
    assert verdict.attentions == {(AttentionKind.SHARED_EVENT, "bk_A")}


def test_a_waiting_cancel_is_withdrawn_when_the_event_turns_out_to_have_other_invitees():
    waiting = call(CANCEL_EVENT, "ev_A")
    assert decide(flow(booking(shared=True), waiting, decision=ended()), T0 + HOUR).withdrawn == {"it_cancel_event"}
    assert not decide(flow(booking(), waiting, decision=ended()), T0 + HOUR).withdrawn


def test_a_cancel_that_calendly_does_not_confirm_is_raised_after_ten_minutes():
    done = call(CANCEL_EVENT, "ev_A", outcome=Outcome.DONE, started=True, closed_at=T0 + HOUR)
    facts = flow(booking(), done, decision=ended())
    early = decide(facts, T0 + HOUR + 10 * MINUTE - SECOND)
    assert (early.attentions, early.wake_at) == (frozenset(), T0 + HOUR + 10 * MINUTE)
    late = decide(facts, T0 + HOUR + 10 * MINUTE)
    moved_on = flow(booking(), booking("B"), moved("A", "B"), done, decision=ended())
    assert not decide(moved_on, T0 + HOUR + 10 * MINUTE).attentions
    assert late.attentions == {(AttentionKind.CANCEL_UNCONFIRMED, "bk_A")}


def test_a_cancel_that_was_given_up_three_times_is_raised():
    given_up = [
        call(CANCEL_EVENT, "ev_A", f"it_{n}", outcome=Outcome.WITHDRAWN, started=True, closed_at=T0) for n in range(3)
    ]
    verdict = decide(flow(booking(), *given_up, decision=ended()), T0 + HOUR)
    assert verdict.intents == ()
    assert verdict.attentions == {(AttentionKind.CALL_REFUSED, "bk_A")}


# Withdrawn: never sent, and no longer wanted.

NO_LONGER_WANTED = {
    "open": flow(booking(), *paid(2), opened(outcome=Outcome.OPEN, started=False)),
    "open beside a live one": flow(booking(), opened(2), checkout(2), opened(outcome=Outcome.OPEN, started=False)),
    "read": flow(booking(), opened(), checkout(), call(READ_CHECKOUT, "cs_1")),
    "read after its end": flow(booking(), *paid(), call(READ_CHECKOUT, "cs_1")),
    "read payment": flow(booking(), *paid(), call(READ_PAYMENT, "pi_1")),
    "read the other payment": flow(
        booking(), *paid(), *paid(2, provisional=True, read_at=T0 + 15 * MINUTE), call(READ_PAYMENT, "pi_1")
    ),
    "expire": flow(booking(), opened(), checkout(), call(EXPIRE_CHECKOUT, "cs_1")),
    "cancel": flow(cancelled(booking(), T0), call(CANCEL_EVENT, "ev_A"), decision=ended()),
    "cancel one of several": flow(booking(), booking("B"), call(CANCEL_EVENT, "ev_A"), decision=ended()),
    "cancel the old": flow(
        booking(), booking("B"), moved("A", "B"), call(CANCEL_EVENT, "ev_A"), decision=ended(), price=0
    ),
    "unknown target": flow(booking(), call(READ_CHECKOUT, "cs_9"), opened(9)),
}


@pytest.mark.parametrize("name", NO_LONGER_WANTED)
def test_what_is_no_longer_wanted_is_withdrawn_unless_it_was_sent(name):
    facts, at = NO_LONGER_WANTED[name], T0 + 20 * MINUTE
    assert len(decide(facts, at).withdrawn) == 1
    sent = replace(facts, intents=tuple(replace(intent, started=True) for intent in facts.intents))
    assert not decide(sent, at).withdrawn


STILL_WANTED = {
    "open": flow(booking(), opened(outcome=Outcome.OPEN, started=False)),
    "read": flow(booking(), opened(), checkout(expires_at=T0), call(READ_CHECKOUT, "cs_1")),
    "read payment": flow(booking(), opened(), payment(provisional=True), call(READ_PAYMENT, "pi_1")),
    "expire": flow(booking(), opened(), checkout(), call(EXPIRE_CHECKOUT, "cs_1"), waived=True),
    "cancel": flow(booking(), call(CANCEL_EVENT, "ev_A"), decision=ended()),
}


@pytest.mark.parametrize("name", STILL_WANTED)
def test_what_is_wanted_is_planned_once(name):
    verdict = decide(STILL_WANTED[name], T0 + 20 * MINUTE)
    assert (verdict.intents, verdict.withdrawn) == ((), frozenset())


def test_what_was_planned_is_not_planned_again():
    for facts in [*NOT_PAYABLE.values(), *TO_EXPIRE.values(), *NOTHING_TO_CANCEL.values(), *NO_LONGER_WANTED.values()]:
        first = decide(facts, T0 + 20 * MINUTE)
        again = decide(written(facts, first, T0 + 20 * MINUTE), T0 + 20 * MINUTE)
        assert (again.intents, again.withdrawn) == ((), frozenset())


def test_no_automatic_call_while_several_bookings_stand():
    verdict = decide(flow(booking(), booking("B"), *paid()), T0 + HOUR)
    assert (verdict.decision, verdict.intents) == (None, ())
    assert verdict.attentions == {(AttentionKind.SEVERAL_TIPS, "bf_1")}
