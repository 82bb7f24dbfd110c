"""One rich life, its news recorded in any order and doubled, and acted on afterwards: the end is always the same.

How many orders are drawn, and how one is drawn again: seeds.py.
"""

import random
from datetime import timedelta
from typing import Any

import time_machine
from django.utils import timezone

from bookings.facts import FlowFacts, Outcome, Verdict
from bookings.locked import Cause
from bookings.models import Booking, BookingFlow, UnplacedInvitee
from payments.loading import flow_facts
from payments.settlement import settle, settled_flow
from webhooks.models import Delivery, State
from webhooks.tasks import process
from webhooks.tests.seeds import seeds
from webhooks.tests.world import PRICE, READS, World

USUAL_RUNS = 40
MINUTES, HOURS, DAYS = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
RETURNED_OUTSIDE = 2_000


def test_the_order_of_the_news_does_not_matter(world: World) -> None:
    with time_machine.travel(timezone.now()) as clock:
        flow_id = play(world, clock)
        deliveries = list(Delivery.objects.filter(state=State.DUE).order_by("received_at").values_list("pk", flat=True))
        with world.rewound():
            in_order = end_of(world, flow_id, deliveries)
        check(in_order)
        for seed in seeds(USUAL_RUNS):
            dice = random.Random(f"order {seed}")  # noqa: S311 - repeatable on purpose
            doubled = [*deliveries, *dice.choices(deliveries, k=len(deliveries) // 2)]
            dice.shuffle(doubled)
            with world.rewound():
                end = end_of(world, flow_id, doubled)
            differences = {word: (end[word], in_order[word]) for word in end if end[word] != in_order[word]}
            assert not differences, f"SLOTPAY_SEED={seed} ends differently (here, in order): {differences}"


def test_the_first_of_a_chain_may_be_heard_of_after_the_last(world: World) -> None:
    """R18: its news is older than the reschedules, so it names none; it is no second use of the link (R38)."""
    flow_id = world.person().initiate()
    slots = [world.book(flow_id)]
    for days in (20, 30, 40):
        start = (timezone.now() + days * DAYS).isoformat()
        slots.append(world.calendly.room("reschedule", invitee=slots[-1]["invitee_id"], start_time=start))
    letters = world.mail("invitee.created")
    for letter in (letters[-1], letters[0], *letters[1:-1]):
        world.deliver([letter])
        world.work()
    statuses = dict(Booking.objects.values_list("invitee_id", "status"))
    assert [statuses[slot["invitee_id"]] for slot in slots] == ["RESCHEDULED"] * 3 + ["PENDING"]
    assert BookingFlow.objects.count() == 1


def play(world: World, clock: time_machine.Traveller) -> str:
    """Booked, paid, moved twice, refunded in part, disputed, then cancelled by the client; the flow's id.

    After the checkout is open the service does nothing: the news is in its inbox, unread.
    """
    # So that a moved booking names its flow by nothing but the one before it.
    world.calendly.room("switches", reschedule_copies_tracking=False)
    casey = world.person()
    flow_id = casey.initiate()
    slot = world.book(flow_id)
    casey.store_event(flow_id, slot)
    world.work()
    clock.shift(5 * MINUTES)
    paid = world.pay(world.sessions()[0]["id"])["payment_intent"]
    # To a start so near that half would be kept; and out of that window again, which must not help.
    for ahead in (18 * HOURS, 5 * DAYS):
        clock.shift(HOURS)
        start = (timezone.now() + ahead).replace(microsecond=0)
        slot = world.calendly.room("reschedule", invitee=slot["invitee_id"], start_time=start.isoformat())
    world.stripe.room("refund", payment_intent=paid, amount=RETURNED_OUTSIDE)
    clock.shift(HOURS)
    dispute = world.stripe.room("dispute", payment_intent=paid, amount=3_000, inquiry=True)
    for status in ("needs_response", "under_review", "won"):
        clock.shift(MINUTES)
        world.stripe.room(f"dispute/{dispute['id']}", status=status)
    clock.shift(HOURS)
    world.calendly.room("cancel", invitee=slot["invitee_id"])
    clock.shift(MINUTES)
    world.deliver()
    return flow_id


def end_of(world: World, flow_id: str, deliveries: list[str]) -> dict[str, Any]:
    """Record the deliveries in this order, act on what they came to, and see what that is."""
    for delivery_id in deliveries:
        # Also one that was recorded before: as if we had died between recording it and ticking it off.
        Delivery.objects.filter(pk=delivery_id).update(state=State.DUE)
        process(delivery_id)
    world.hear()
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.PROCESSED}
    assert not UnplacedInvitee.objects.exists()
    with settled_flow(flow_id, Cause.clock()) as flow:
        facts, verdict = flow_facts(flow), settle(flow)
    ledger = world.calendly.look("ledger")
    return {
        **told(facts),
        **judged(facts, verdict),
        "at Stripe": world.stripe.look("ledger")["payments"],
        "at Calendly": sorted((one["uri"], one["status"]) for one in ledger["scheduled_events"]),
    }


def told(facts: FlowFacts) -> dict[str, Any]:
    """The facts, without our own ids and without when we heard of them."""
    return {
        "bookings": sorted(
            (one.invitee_id, one.event_id, one.start, one.end, one.created_at, one.cancelled, one.rescheduled, one.gone)
            for one in facts.bookings
        ),
        "edges": sorted(facts.edges),
        "checkouts": [(one.session_id, one.status, one.paid, one.async_result) for one in facts.checkouts],
        "payments": [
            (one.payment_intent_id, one.captured, one.currency, one.captured_at, one.provisional, bool(one.intent_id))
            for one in facts.payments
        ],
        "refunds": sorted((one.amount, one.status, bool(one.intent_id)) for one in facts.refunds),
        "disputes": [(one.dispute_id, one.amount, one.inquiry, one.status, one.refundable) for one in facts.disputes],
        "calls": sorted(
            (one.kind, one.target, one.outcome, one.amount)
            for one in facts.intents
            if one.kind not in READS and one.outcome is not Outcome.WITHDRAWN
        ),
    }


def judged(facts: FlowFacts, verdict: Verdict) -> dict[str, Any]:
    """The verdict, without when it would change."""
    names = {one.id: one.invitee_id for one in facts.bookings}
    return {
        "decision": verdict.decision,
        "statuses": {names[one]: status for one, status in verdict.bookings.items()},
        "money": (verdict.payment_row, verdict.payment_status, verdict.refund_status, verdict.disputed),
        "sums": (verdict.due, verdict.captured, verdict.refunded, verdict.reserved),
        "attentions": sorted(kind for kind, _ in verdict.attentions),
        "waits": (verdict.intents, verdict.payable),
    }


def check(end: dict[str, Any]) -> None:
    """What it should come to, said without the service's own rules."""
    assert (end["decision"].row, end["decision"].percent) == ("D3", 50)
    assert sorted(one.status for one in end["statuses"].values()) == ["CANCELLED", "RESCHEDULED", "RESCHEDULED"]
    ((captured, returned),) = [(one["captured"], one["refunded"]) for one in end["at Stripe"].values()]
    assert (captured, returned) == (PRICE, PRICE // 2)
    assert end["refunds"] == [
        (RETURNED_OUTSIDE, "succeeded", False),
        (PRICE // 2 - RETURNED_OUTSIDE, "succeeded", True),
    ]
    assert end["disputes"][0][3] == "won"
    assert [status for _, status in end["at Calendly"]] == ["canceled"] * 3
    assert end["attentions"] == []
