"""What holds of `decide` whatever is known: random, well-formed facts of a flow, at any time.

The oracles here count anew, from the specification and without the quantities of the code.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bookings.facts import (
    AsyncResult,
    BookingStatus,
    CheckoutStatus,
    FlowFacts,
    IntentKind,
    Outcome,
    Party,
    PaymentStatus,
    Tier,
    Verdict,
)
from bookings.lifecycle import decide
from bookings.quantities import STANDARD_TIERS
from bookings.tests.facts_builder import (
    DAY,
    HOUR,
    MINUTE,
    START,
    T0,
    Thing,
    asked,
    booking,
    call,
    cancelled,
    checkout,
    dispute,
    ended,
    flow,
    moved,
    opened,
    payment,
    refund,
    refund_intent,
    unseen,
    written,
)

BRIEF = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])

minutes = st.sampled_from([0, 1, 5, 10, 15, 30, 31, 35, 40, 45, 60, 90, 24 * 60, 48 * 60, 60 * 60, 70 * 60, 73 * 60])
times = minutes.map(lambda count: T0 + count * MINUTE)
often = st.sampled_from([False, False, False, True])
outcomes = st.sampled_from(Outcome)


@st.composite
def chains(draw) -> list[Thing]:
    """Nothing, an unseen booking, or a line of up to four of which some are not seen and some edges not known."""
    if draw(often):
        return [unseen()] if draw(st.booleans()) else []
    names = "ABCD"[: draw(st.integers(1, 4))]
    things: list[Thing] = []
    for name, following in zip(names, [*names[1:], None], strict=True):
        recorded = draw(times)
        one = booking(
            name,
            recorded_at=recorded,
            created_at=draw(st.sampled_from([None, recorded, T0])),
            start=draw(st.sampled_from([None, T0 + 40 * MINUTE, START, START + 30 * DAY])),
            event_type_id=draw(st.sampled_from([None, "et_1", "et_1", "et_2"])),
            gone=draw(often),
            shared=draw(often),
        )
        if following:
            known = draw(st.sampled_from([True, True, False]))
            things += [moved(name, following)] if known else []
            one = cancelled(one, recorded, rescheduled=True) if not known or draw(st.booleans()) else one
            one = replace(one, left_at=recorded)
            things += [one] if draw(st.sampled_from([True, True, False])) else []
        else:
            reference = draw(st.sampled_from([None, "it_ours"]))
            ways = [
                one,
                one,
                cancelled(one, draw(times)),
                cancelled(one, draw(times), by_host=True, reference=reference),
            ]
            things.append(draw(st.sampled_from(ways)))
    if draw(often):
        things.append(booking("E"))
    return things


@st.composite
def checkouts(draw, number: int, price: int) -> list[Thing]:
    """A checkout that we asked for, however far it has come."""
    outcome = draw(outcomes if number == 1 else outcomes.filter(lambda one: one is not Outcome.OPEN))
    intent = opened(number, outcome=outcome, amount=price, started=draw(st.booleans()) or outcome is Outcome.DONE)
    if outcome is not Outcome.DONE:
        return [intent]
    status = draw(st.sampled_from(CheckoutStatus))
    result = draw(st.sampled_from(AsyncResult)) if status is CheckoutStatus.COMPLETE else AsyncResult.NONE
    session = checkout(number, status=status, async_result=result, read_at=draw(st.none() | times))
    session = replace(session, completed_at=draw(times) if status is CheckoutStatus.COMPLETE else None)
    return [intent, session]


@st.composite
def moneys(draw, number: int, price: int) -> list[Thing]:
    """A payment and what went back of it: as at Stripe, never more than was captured."""
    captured = draw(st.sampled_from([price, price, price, max(price - 1, 0), 7_777, 0]))
    at = draw(times)
    currency = draw(st.sampled_from(["USD", "USD", "USD", "EUR"]))
    paid = payment(
        number,
        captured,
        at,
        currency=currency,
        accepted=captured > 0 and currency == "USD" and draw(often),
        intent_id=draw(st.sampled_from([f"it_open_{number}", f"it_open_{number}", None])),
        provisional=draw(often),
        read_at=draw(st.none() | times),
    )
    things: list[Thing] = [paid]
    left = captured
    for n in range(draw(st.integers(0, 3))):
        if left <= 0:
            break
        amount = draw(st.integers(1, left))
        name = f"it_refund_{number}_{n}"
        outcome, automatic = draw(outcomes), draw(st.booleans())
        awaits_approval = not automatic and draw(st.booleans())
        intent = refund_intent(
            amount,
            name,
            number,
            created_at=draw(times),
            outcome=outcome,
            automatic=automatic,
            started=not awaits_approval and draw(st.booleans()),
            awaits_approval=awaits_approval,
        )
        made = refund(
            amount, draw(st.sampled_from(["pending", "succeeded", "failed"])), number, name, name=f"re_{number}_{n}"
        )
        kind = draw(st.sampled_from(["intent", "both", "outside"]))
        things += [intent] if kind != "outside" else []
        things += [] if kind == "intent" else [made if kind == "both" else replace(made, intent_id=None)]
        if (kind == "intent" and intent.open) or (kind != "intent" and not made.failed):
            left -= amount
    if captured and draw(often):
        status = draw(st.sampled_from(["needs_response", "won", "lost", "warning_needs_response"]))
        things.append(
            dispute(
                draw(st.integers(1, captured)),
                status,
                number,
                inquiry=status.startswith("warning"),
                refundable=draw(st.booleans()),
                recorded_at=draw(times),
            )
        )
    return things


@st.composite
def flows(draw) -> FlowFacts:
    price = draw(st.sampled_from([0, 1, 101, 10_000, 10_000]))
    things = draw(chains())
    for number in range(1, draw(st.integers(0, 2)) + 1):
        things += draw(checkouts(number, price))
        if draw(st.booleans()):
            things += draw(moneys(number, price))
    for kind, target in ((IntentKind.CANCEL_EVENT, "ev_A"), (IntentKind.EXPIRE_CHECKOUT, "cs_1")):
        if draw(often):
            outcome = draw(outcomes)
            closed = None if outcome is Outcome.OPEN else T0 + HOUR
            things.append(call(kind, target, outcome=outcome, started=draw(st.booleans()), closed_at=closed))
    percents = st.sampled_from([0, 33, 50, 100])
    decisions = st.builds(ended, st.sampled_from(["D1", "D2", "D3", "D4"]), percents, times, unseen=st.booleans())
    asking = st.builds(
        asked, times, st.sampled_from(Party), refund_requested=st.booleans(), percent=st.none() | percents
    )
    return flow(
        *things,
        price=price,
        tiers=draw(st.sampled_from([STANDARD_TIERS, (), (Tier(timedelta(0), 33),)])),
        hold=draw(st.sampled_from([2 * MINUTE, 30 * MINUTE, 2 * DAY])),
        direct=draw(often),
        client_known=draw(st.booleans()),
        waived=draw(often),
        decision=draw(st.none() | st.none() | decisions),
        cancel_asked=draw(st.none() | st.none() | asking),
    )


def said(verdict: Verdict) -> Verdict:
    """A verdict without the order in which its calls are named."""
    return replace(verdict, intents=tuple(sorted(verdict.intents, key=repr)))


@BRIEF
@given(flows(), times)
def test_some_row_of_each_table_always_holds(facts, now):
    verdict = decide(facts, now)
    assert verdict.payment_row in {f"P{n}" for n in range(1, 9)}
    assert isinstance(verdict.payment_status, PaymentStatus)
    assert verdict.bookings.keys() == {one.id for one in facts.bookings}
    assert {told.row for told in verdict.bookings.values()} <= {f"B{n}" for n in range(1, 8)}
    if verdict.decision:
        assert verdict.decision.row in ("D1", "D2", "D3", "D4")
        assert 0 <= verdict.decision.percent <= 100
    if facts.decision:
        assert verdict.decision == facts.decision


@BRIEF
@given(flows(), times)
def test_deciding_twice_changes_nothing(facts, now):
    first = decide(facts, now)
    second = decide(written(facts, first, now), now)
    assert (second.intents, second.withdrawn) == ((), frozenset())
    # Only a checkout that is being opened is news to refundStatus, and nobody asks for it before the end.
    refund_status = second.refund_status if first.payable else first.refund_status
    assert second == replace(first, intents=(), withdrawn=frozenset(), refund_status=refund_status)


@BRIEF
@given(flows(), times, st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_nothing_changes_before_the_flow_wakes(facts, now, share_of_sleep):
    facts = written(facts, decide(facts, now), now)
    asleep = decide(facts, now)
    end = asleep.wake_at or now + 1_000 * DAY
    for later in (now + share_of_sleep * (end - now), end - timedelta(microseconds=1)):
        assume(now < later < end)
        assert decide(facts, later) == asleep


@BRIEF
@given(flows(), times)
def test_nothing_is_stuck(facts, now):
    """Whoever only lets time pass ends where each booking is settled, or a call is under way, or a person is asked."""
    for _ in range(50):
        verdict = decide(facts, now)
        facts = written(facts, verdict, now)
        under_way = any(intent.open for intent in facts.intents)
        for told in verdict.bookings.values():
            if told.status is BookingStatus.PENDING or told.cancellation_pending:
                assert verdict.wake_at or under_way or verdict.attentions
        if verdict.wake_at is None:
            return
        assert verdict.wake_at > now
        now = verdict.wake_at
    raise AssertionError("it wakes for ever")


@BRIEF
@given(flows(), times, st.randoms(use_true_random=False))
def test_the_order_in_which_facts_are_listed_does_not_matter(facts, now, random):
    names = ("bookings", "checkouts", "payments", "refunds", "disputes", "intents")
    listed = {name: list(getattr(facts, name)) for name in names}
    for things in listed.values():
        random.shuffle(things)
    mixed = replace(facts, **{name: tuple(things) for name, things in listed.items()})
    assert said(decide(mixed, now)) == said(decide(facts, now))


# The money, counted anew.


def matching(facts: FlowFacts) -> list[str]:
    """Payments made for an intent of ours, of its amount and in the flow's currency; or accepted by staff."""
    prices = {intent.id: intent.amount for intent in facts.intents if intent.kind is IntentKind.OPEN_CHECKOUT}
    return [
        paid.payment_intent_id
        for paid in facts.payments
        if paid.captured
        if paid.accepted or (prices.get(paid.intent_id or "") == paid.captured and paid.currency == facts.currency)
    ]


def lost(facts: FlowFacts, payments: list[str]) -> int:
    return sum(one.amount for one in facts.disputes if one.payment_intent_id in payments and one.status == "lost")


def should_go_back(facts: FlowFacts, verdict: Verdict) -> int:
    """LIFECYCLE 4, of the matching money."""
    accepted = sum(paid.captured for paid in facts.payments if paid.accepted)
    due = 0 if facts.waived else accepted or facts.price
    moneys = [paid for paid in facts.payments if paid.payment_intent_id in matching(facts)]
    total, end = sum(paid.captured for paid in moneys), verdict.decision
    if end is None:
        return max(0, total - due)
    in_time = [paid.captured for paid in moneys if paid.captured_at is not None and paid.captured_at <= end.at]
    kept_by_policy = 0 if end.row == "D4" else min(due, sum(in_time))
    part = (Decimal(kept_by_policy) * end.percent / 100).quantize(Decimal(1), ROUND_HALF_UP)
    return int(part) + total - kept_by_policy


def gone_out(facts: FlowFacts, payment_intent_id: str) -> int:
    """What went back of a payment, or was asked to, by anybody."""
    refunds = [one for one in facts.refunds if one.payment_intent_id == payment_intent_id]
    answered = {one.intent_id for one in refunds}
    asked_for = [
        intent.amount
        for intent in facts.intents
        if intent.kind is IntentKind.REFUND and intent.target == payment_intent_id
        if intent.outcome is Outcome.OPEN and intent.id not in answered
    ]
    return sum(one.amount for one in refunds if one.status != "failed") + sum(asked_for)


@BRIEF
@given(flows(), times)
def test_no_refund_of_ours_returns_more_than_was_captured(facts, now):
    verdict = decide(facts, now)
    after = written(facts, verdict, now)
    captured = {paid.payment_intent_id: paid.captured for paid in facts.payments}
    assert all(verdict.reserved[name] <= captured[name] for name in captured)
    for due in verdict.intents:
        if due.kind is IntentKind.REFUND:
            assert due.amount > 0
            assert gone_out(after, due.target) + lost(facts, [due.target]) <= captured[due.target]


@BRIEF
@given(flows(), times)
def test_automatic_refunds_return_what_should_go_back_and_no_more(facts, now):
    verdict = decide(facts, now)
    after, ours = written(facts, verdict, now), matching(facts)
    refund_ids = {intent.id for intent in facts.intents if intent.kind is IntentKind.REFUND}
    outside = [one for one in facts.refunds if one.intent_id not in refund_ids and one.status != "failed"]
    made = {one.intent_id for one in facts.refunds}
    new = {due.target for due in verdict.intents if due.kind is IntentKind.REFUND}

    def tried(payments):
        of = [intent for intent in after.intents if intent.automatic and intent.target in payments]
        planned = sum(i.amount for i in of if i.outcome is not Outcome.WITHDRAWN or i.id in made)
        return planned + sum(one.amount for one in outside if one.payment_intent_id in payments)

    if new & set(ours):
        assert tried(ours) + lost(facts, ours) <= should_go_back(facts, verdict)
    for paid in facts.payments:
        if paid.payment_intent_id in new and paid.payment_intent_id not in ours:
            assert verdict.decision
            assert tried([paid.payment_intent_id]) + lost(facts, [paid.payment_intent_id]) <= paid.captured
    troubled = facts.disputes or any(p.provisional for p in facts.payments)
    if ours and not troubled:
        short = should_go_back(facts, verdict) - tried(ours)
        room = sum(
            p.captured - gone_out(after, p.payment_intent_id) for p in facts.payments if p.payment_intent_id in ours
        )
        assert short <= 0 or room == 0


@BRIEF
@given(flows(), times)
def test_no_refund_without_a_cause(facts, now):
    verdict = decide(facts, now)
    if any(due.kind is IntentKind.REFUND for due in verdict.intents):
        assert verdict.decision or verdict.captured > verdict.due
        assert not any(paid.captured and paid.provisional for paid in facts.payments)
    for due in verdict.intents:
        if due.kind is IntentKind.CANCEL_EVENT:
            assert verdict.decision
        assert due.why


@BRIEF
@given(flows(), times)
def test_the_sums_are_those_of_the_matching_money(facts, now):
    verdict, ours = decide(facts, now), matching(facts)
    total = sum(paid.captured for paid in facts.payments if paid.payment_intent_id in ours)
    back = sum(one.amount for one in facts.refunds if one.status == "succeeded" and one.payment_intent_id in ours)
    assert (verdict.captured, verdict.refunded) == (total, back)
    kept = total - back - lost(facts, ours)
    if total and verdict.due:
        expected = PaymentStatus.REFUNDED if kept <= 0 else PaymentStatus.PARTIALLY_REFUNDED
        assert verdict.payment_status is (PaymentStatus.PAID if kept >= verdict.due else expected)


@BRIEF
@given(flows(), times, times)
def test_a_later_look_never_revives_a_cancelled_booking(facts, now, later):
    assume(now <= later)
    first = decide(facts, now)
    then = decide(written(facts, first, now), later)
    for name, told in first.bookings.items():
        if told.status in (BookingStatus.CANCELLED, BookingStatus.RESCHEDULED):
            assert then.bookings[name].status is told.status
