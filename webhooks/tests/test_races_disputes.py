"""The client went to the bank: LIFECYCLE R15 to R17, and early fraud warnings."""

import json
import random
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from bookings.facts import IntentKind, Outcome
from bookings.models import Attention, Intent
from payments.models import Dispute, Payment
from webhooks.tests.purchases import DAYS, HOURS, MINUTES, Purchase, begun, bought, no_time_for_providers
from webhooks.tests.world import PRICE, Letter, World, open_attention


def disputed(world: World, **more: Any) -> str:
    """The payment is disputed, and nothing of it is heard yet; the dispute's id."""
    dispute_id: str = world.stripe.room("dispute", payment_intent=Payment.objects.get().pk, **more)["id"]
    return dispute_id


def refund_intents() -> list[tuple[str, int]]:
    rows = Intent.objects.filter(kind=IntentKind.REFUND).order_by("created_at", "pk")
    return list(rows.values_list("outcome", "amount_minor"))


# R15: a dispute opens while a refund is due, or unsent.


@pytest.mark.parametrize("inquiry", [True, False])
@pytest.mark.parametrize("end", ["won", "lost"])
def test_r15_a_refund_waits_for_an_open_dispute(world: World, inquiry: bool, end: str) -> None:
    purchase = bought(world, ahead=18 * HOURS)
    dispute_id = disputed(world, inquiry=inquiry)
    world.hear()
    assert purchase.told() == ("CONFIRMED", "PAID", "ACTIVE"), "an open dispute changes no status"
    assert purchase.flow().disputed

    assert purchase.cancels() == ("CANCELLED", "PENDING")
    with time_machine.travel(timezone.now() + DAYS):
        world.hear()
        assert (refund_intents(), open_attention()) == ([], ["REFUND_HELD"])
    with time_machine.travel(timezone.now() + 9 * DAYS):
        if inquiry:
            world.stripe.room(f"dispute/{dispute_id}", status="needs_response")
        world.stripe.room(f"dispute/{dispute_id}", status=end)
        world.hear()

        went_out = [(Outcome.DONE, PRICE // 2)] if end == "won" else []
        assert refund_intents() == went_out
        status = "PARTIALLY_REFUNDED" if end == "won" else "REFUNDED"
        assert purchase.told() == ("CANCELLED", status, "CANCELLED")
        assert not purchase.flow().disputed
    assert open_attention() == []


@pytest.mark.parametrize("heard", [True, False])
def test_r15_a_refund_that_was_not_sent_yet_is_withdrawn(
    world: World, monkeypatch: pytest.MonkeyPatch, heard: bool
) -> None:
    """The dispute opens before the worker comes to the refund. Unheard, Stripe's refusal tells of it."""
    purchase = bought(world)
    no_time_for_providers(monkeypatch)
    assert purchase.cancels() == ("CANCELLATION_PENDING", "PENDING")
    dispute_id = disputed(world)
    if heard:
        world.deliver()
    world.work()

    assert refund_intents() == [(Outcome.WITHDRAWN, PRICE)]
    asked_stripe = Intent.objects.get(kind=IntentKind.REFUND).started_at is not None
    assert asked_stripe is not heard
    assert open_attention() == ["REFUND_HELD"]
    assert Dispute.objects.get().pk == dispute_id
    with time_machine.travel(timezone.now() + 9 * DAYS):
        world.stripe.room(f"dispute/{dispute_id}", status="won")
        world.hear()
    assert refund_intents() == [(Outcome.WITHDRAWN, PRICE), (Outcome.DONE, PRICE)]
    assert world.money()["refunded"] == PRICE


@pytest.mark.parametrize("refundable", [True, False])
def test_a_lost_dispute_blocks_its_amount_and_the_rest_only_if_stripe_says_so(world: World, refundable: bool) -> None:
    purchase = bought(world)
    dispute_id = disputed(world, amount=3_000)
    world.stripe.room(f"dispute/{dispute_id}", status="lost")
    letters = world.mail()
    if refundable:
        world.stripe.room(f"dispute/{dispute_id}", is_charge_refundable=True)
        letters = [changed(letter, is_charge_refundable=True) for letter in letters]
    world.deliver(letters)
    world.hear()
    assert purchase.told() == ("CONFIRMED", "PARTIALLY_REFUNDED", "ACTIVE"), "what was lost is not kept"

    assert purchase.cancels() == ("CANCELLED", "COMPLETED" if refundable else "FAILED")

    assert world.money()["refunded"] == (PRICE - 3_000 if refundable else 0)
    assert open_attention() == ([] if refundable else ["REFUND_BLOCKED"])


def test_what_went_back_before_a_lost_dispute_counts_too(world: World) -> None:
    """Half went back, and then the bank takes a part: never more than was captured, and no more by our doing."""
    purchase = bought(world, ahead=18 * HOURS)
    purchase.cancels()
    world.hear()
    dispute_id = disputed(world, amount=PRICE // 2)
    world.stripe.room(f"dispute/{dispute_id}", status="lost")
    world.hear()

    assert purchase.told() == ("CANCELLED", "REFUNDED", "CANCELLED")
    assert refund_intents() == [(Outcome.DONE, PRICE // 2)]


# R16: an open inquiry. What staff may do with it: payments/tests/test_requests_refund.py.


def test_r16_by_itself_nothing_is_sent_on_an_open_inquiry(world: World) -> None:
    purchase = bought(world)
    dispute_id = disputed(world, inquiry=True)
    world.hear()
    assert Dispute.objects.get().refundable

    purchase.is_cancelled_at_calendly(by="host")
    world.hear()
    assert (refund_intents(), open_attention()) == ([], ["REFUND_HELD"])

    world.stripe.room(f"dispute/{dispute_id}", status="warning_closed")
    world.hear()
    assert refund_intents() == [(Outcome.DONE, PRICE)]
    assert purchase.told() == ("CANCELLED", "REFUNDED", "CANCELLED")


# R17: its news out of order.


@pytest.mark.parametrize("end", ["won", "lost"])
def test_r17_the_news_of_a_dispute_in_any_order_ends_the_same(world: World, end: str) -> None:
    purchase = bought(world)
    dispute_id = disputed(world, inquiry=True)
    for status in ("warning_under_review", "needs_response", "under_review", end):
        with time_machine.travel(timezone.now() + MINUTES):
            world.stripe.room(f"dispute/{dispute_id}", status=status)
    letters = world.mail()
    assert len(letters) == 6 + (end == "won")
    ends = []
    for draw in range(6):
        order = [*letters, *letters[:3]]
        random.Random(f"dispute {draw}").shuffle(order)  # noqa: S311 - repeatable on purpose
        with world.undone():
            for letter in order:
                world.deliver([letter])
                world.work()
            row = Dispute.objects.get()
            ends.append((row.status, row.inquiry, row.refundable, row.amount_minor, row.balance_transactions))
            assert purchase.told() == ("CONFIRMED", "REFUNDED" if end == "lost" else "PAID", "ACTIVE")
            assert not purchase.flow().disputed
    assert all(each == ends[0] for each in ends)
    assert ends[0][:4] == (end, False, end == "won", PRICE)
    moved = [one["amount"] for one in ends[0][4]]
    assert sorted(moved) == ([-PRICE, PRICE] if end == "won" else [-PRICE]), "kept for staff"


@pytest.mark.parametrize("false_first", [True, False])
def test_r17_where_two_reports_conflict_the_dispute_is_read_again(world: World, false_first: bool) -> None:
    purchase = bought(world)
    dispute_id = disputed(world)
    world.hear()
    world.stripe.room(f"dispute/{dispute_id}", status="won")
    (closed,) = world.mail("charge.dispute.closed")
    false = changed(closed, status="lost", is_charge_refundable=False)
    for letter in (false, closed) if false_first else (closed, false):
        world.deliver([letter])
        world.work()

    assert Dispute.objects.get().status == "won"
    assert purchase.told() == ("CONFIRMED", "PAID", "ACTIVE")


def test_r17_a_dispute_of_a_payment_that_we_have_not_heard_of_reads_it(world: World) -> None:
    purchase = begun(world)
    payment_id = purchase.pays()
    world.mail()  # lost
    world.stripe.room("dispute", payment_intent=payment_id)
    world.hear()

    assert Dispute.objects.get().payment_id == payment_id
    assert purchase.told() == ("CONFIRMED", "PAID", "ACTIVE")
    assert purchase.flow().disputed


def changed(letter: Letter, **fields: Any) -> Letter:
    """The letter with another object in it, as another event."""
    body = json.loads(letter.body)
    body["id"] = f"{body['id']}changed"
    body["data"]["object"] |= fields
    return Letter(letter.provider, letter.name, json.dumps(body).encode())


# Early fraud warnings.


def warning(world: World, purchase: Purchase, **fields: Any) -> Letter:
    """Stripe expects a dispute. The local Stripe does not write these."""
    payment = Payment.objects.get()
    warned = {
        "id": "issfr_1",
        "object": "radar.early_fraud_warning",
        "actionable": True,
        "charge": payment.charge_id,
        "created": int(timezone.now().timestamp()),
        "fraud_type": "made_with_stolen_card",
        "livemode": False,
        "payment_intent": payment.pk,
    }
    letter = {
        "id": "evt_fraud",
        "object": "event",
        "type": "radar.early_fraud_warning.created",
        "created": warned["created"],
        "livemode": False,
        "data": {"object": warned | fields},
    }
    return Letter("stripe", "radar.early_fraud_warning.created", json.dumps(letter).encode())


@pytest.mark.parametrize("fields", [{}, {"payment_intent": None}])
def test_an_early_fraud_warning_asks_for_a_person_once_and_changes_nothing(
    world: World, fields: dict[str, None]
) -> None:
    purchase = bought(world)
    end = world.end(purchase.flow_id)
    letter = warning(world, purchase, **fields)
    updated = changed(letter)

    for each in (letter, letter, updated):
        world.deliver([each])
        world.work()

    assert open_attention(purchase.flow_id) == ["FRAUD_WARNING"]
    assert Attention.objects.get().object_id == Payment.objects.get().charge_id
    assert world.end(purchase.flow_id) == end | {"attention": ["FRAUD_WARNING"]}
