"""What becomes of money on its way back: LIFECYCLE R10 to R14, and never more than was captured."""

from itertools import permutations
from typing import Any

import pytest
import requests
import time_machine
from django.conf import settings as configured
from django.utils import timezone

from bookings.facts import IntentKind, Outcome
from bookings.models import Intent
from payments import acting
from payments.models import Checkout, Payment, Refund
from webhooks.models import Delivery, State
from webhooks.tasks import process
from webhooks.tests.purchases import DAYS, HOURS, MINUTES, Purchase, begun, bought, no_time_for_providers
from webhooks.tests.world import PRICE, World, at_once, open_attention


def refund_intents() -> list[tuple[str, int]]:
    """Outcome and amount of what we asked for."""
    rows = Intent.objects.filter(kind=IntentKind.REFUND).order_by("created_at", "pk")
    return list(rows.values_list("outcome", "amount_minor"))


# R10: a delayed payment.


def delayed(world: World) -> tuple[Purchase, str]:
    """A purchase with a session that takes a delayed method, which was submitted; the session's id."""
    purchase = begun(world)
    first = world.sessions()[0]
    form = {
        "mode": "payment",
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": first["currency"],
        "line_items[0][price_data][unit_amount]": str(first["amount_total"]),
        "line_items[0][price_data][product_data][name]": "The same",
        "success_url": first["success_url"],
        **{f"metadata[{name}]": value for name, value in first["metadata"].items()},
        **{f"payment_intent_data[metadata][{name}]": value for name, value in first["metadata"].items()},
    }
    key = {"Authorization": f"Bearer {configured.STRIPE_SECRET_KEY}"}
    answer = requests.post(f"{world.stripe.base}/v1/checkout/sessions", data=form, headers=key, timeout=10)
    session_id: str = answer.json()["id"]
    world.stripe.room(f"checkout/{session_id}", action="pay_later")
    world.hear()
    assert purchase.told() == ("PENDING", "PENDING", "ACTIVE")
    return purchase, session_id


def test_r10_a_delayed_payment_that_succeeds_after_the_hold_confirms(world: World) -> None:
    purchase, session_id = delayed(world)
    with time_machine.travel(timezone.now() + 3 * DAYS):
        world.hear()
        assert purchase.told() == ("PENDING", "PENDING", "ACTIVE"), "no end while the bank has not answered"
        assert purchase.at_stripe() == ["expired", "complete"]
        world.stripe.room(f"async/{session_id}", result="succeeded")
        world.hear()

        assert purchase.told() == ("CONFIRMED", "PAID", "ACTIVE")
    assert world.money() == {"captured": PRICE, "refunded": 0}


def test_r10_a_delayed_payment_that_fails_after_the_hold_ends_the_flow(world: World) -> None:
    purchase, session_id = delayed(world)
    with time_machine.travel(timezone.now() + 3 * DAYS):
        world.stripe.room(f"async/{session_id}", result="failed")
        world.hear()

        assert purchase.told() == ("CANCELLED", "FAILED", "CANCELLED")
    assert purchase.at_calendly() == ["canceled"]


def test_r10_a_delayed_payment_that_succeeds_after_the_end_goes_back(world: World) -> None:
    purchase, session_id = delayed(world)
    assert purchase.cancels() == ("CANCELLED", "PENDING")
    with time_machine.travel(timezone.now() + 3 * DAYS):
        world.stripe.room(f"async/{session_id}", result="succeeded")
        world.hear()
        assert purchase.cancels() == ("CANCELLED", "PENDING"), "banks take their time"
        world.stripe.room(f"refund/{Refund.objects.get().refund_id}", status="succeeded")
        world.hear()

        assert purchase.told() == ("CANCELLED", "REFUNDED", "CANCELLED")
        assert purchase.cancels() == ("CANCELLED", "COMPLETED")
    assert world.money() == {"captured": PRICE, "refunded": PRICE}


# R11: the news before the answer.


def test_r11_a_refund_whose_news_comes_before_its_answer_is_joined(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = bought(world, ahead=18 * HOURS)
    no_time_for_providers(monkeypatch)
    assert purchase.cancels() == ("CANCELLATION_PENDING", "PENDING")
    leased = acting.claim(Intent.objects.get(kind=IntentKind.REFUND).id)
    assert leased
    with world.undone():
        acting.make_call(leased)

    world.hear()
    assert Refund.objects.get().intent_id == leased.id
    assert refund_intents() == [(Outcome.DONE, PRICE // 2)]
    end = world.end(purchase.flow_id)
    acting.make_call(leased)

    assert world.end(purchase.flow_id) == end
    assert end["flow"] == ("PARTIALLY_REFUNDED", "D1", False)
    assert world.money()["refunded"] == PRICE // 2


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_make_one_refund(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    purchase = bought(world, ahead=18 * HOURS)
    no_time_for_providers(monkeypatch)
    purchase.cancels()

    at_once(*[world.work] * 4)
    world.hear()

    assert refund_intents() == [(Outcome.DONE, PRICE // 2)]
    assert Refund.objects.count() == 1
    assert world.money()["refunded"] == PRICE // 2


# R12: a refund made in the dashboard.


@pytest.mark.parametrize(("outside", "more"), [(3_600, 2_400), (6_000, 0), (8_000, 0)])
def test_r12_a_refund_made_outside_counts_into_what_goes_back(world: World, outside: int, more: int) -> None:
    """30 of 100 went out already, so a cancel at 50 % sends 20."""
    purchase = bought(world, ahead=18 * HOURS)
    world.stripe.room("refund", payment_intent=Payment.objects.get().pk, amount=outside)
    world.hear()

    assert purchase.cancels() == ("CANCELLED", "COMPLETED")
    world.hear()

    assert refund_intents() == ([(Outcome.DONE, more)] if more else [])
    assert world.money()["refunded"] == outside + more


def test_r12_several_refunds_made_outside_in_any_order_of_their_news(world: World) -> None:
    purchase = bought(world)
    payment_id = Payment.objects.get().pk
    for amount in (1_000, 2_000, 4_000):
        world.stripe.room("refund", payment_intent=payment_id, amount=amount)
    letters = world.mail("refund.created", "charge.refunded")
    for order in (letters, letters[::-1], letters[1::2] + letters[::2]):
        with world.rewound():
            world.deliver([*order, *order])
            world.work()
            assert purchase.told() == ("CONFIRMED", "PARTIALLY_REFUNDED", "ACTIVE")
            assert purchase.cancels() == ("CANCELLED", "COMPLETED")
            assert refund_intents() == [(Outcome.DONE, 5_000)]
            assert world.money()["refunded"] == PRICE


def test_r12_a_full_refund_made_outside_leaves_the_booking_to_a_person(world: World) -> None:
    purchase = bought(world)
    world.stripe.room("refund", payment_intent=Payment.objects.get().pk)
    world.hear()

    assert purchase.told() == ("CONFIRMED", "REFUNDED", "ACTIVE")
    assert open_attention() == ["EXTERNAL_FULL_REFUND"]
    assert purchase.cancels() == ("CANCELLED", "COMPLETED")
    assert refund_intents() == []
    assert world.money()["refunded"] == PRICE
    assert open_attention() == []


def test_r12_a_refund_made_outside_that_failed_counts_for_nothing(world: World) -> None:
    purchase = bought(world)
    refund = world.stripe.room("refund", payment_intent=Payment.objects.get().pk, amount=3_000)
    world.hear()
    world.stripe.room(f"refund/{refund['id']}", status="failed", failure_reason="lost_or_stolen_card")
    world.hear()
    assert purchase.told() == ("CONFIRMED", "PAID", "ACTIVE")

    purchase.cancels()

    assert refund_intents() == [(Outcome.DONE, PRICE)]
    assert world.money()["refunded"] == PRICE


@pytest.mark.parametrize(("outside", "ours"), [(PRICE, []), (8_000, [4_000])])
def test_r12_a_refund_made_outside_that_we_have_not_heard_of(world: World, outside: int, ours: list[int]) -> None:
    """Stripe refuses ours; what it holds is read, and only the rest is sent."""
    purchase = bought(world)
    world.stripe.room("refund", payment_intent=Payment.objects.get().pk, amount=outside)

    assert purchase.cancels() == ("CANCELLED", "COMPLETED")

    assert refund_intents() == [(Outcome.WITHDRAWN, PRICE), *((Outcome.DONE, amount) for amount in ours)]
    assert world.money()["refunded"] == PRICE
    world.hear()
    assert purchase.told() == ("CANCELLED", "REFUNDED", "CANCELLED")
    assert open_attention() == []


# R13: a refund fails.


@pytest.mark.parametrize("ahead", [10 * DAYS, 18 * HOURS])
def test_r13_a_refund_that_fails_after_it_succeeded_gives_the_money_back_to_us(world: World, ahead: Any) -> None:
    purchase = bought(world, ahead=ahead)
    assert purchase.cancels() == ("CANCELLED", "COMPLETED")
    world.hear()
    refund = Refund.objects.get()

    with time_machine.travel(timezone.now() + 3 * DAYS):
        world.stripe.room(f"refund/{refund.refund_id}", status="failed", failure_reason="expired_or_canceled_card")
        world.hear()

        assert purchase.told() == ("CANCELLED", "PAID", "CANCELLED")
        assert open_attention() == ["REFUND_FAILED"]
        assert Refund.objects.get().failure_reason == "expired_or_canceled_card"
        assert Payment.objects.get().refund_intended_minor == 0
        again = purchase.asks_to_cancel()
        assert (again.status_code, again.json()["error"]["code"]) == (502, "REFUND_FAILED")
    with time_machine.travel(timezone.now() + 30 * DAYS):
        world.hear()
        assert len(refund_intents()) == 1, "never repeated by itself"
    assert world.money() == {"captured": PRICE, "refunded": 0}


def test_r13_the_news_of_a_failed_refund_comes_in_any_order(world: World) -> None:
    purchase = bought(world)
    purchase.cancels()
    world.stripe.room(f"refund/{Refund.objects.get().refund_id}", status="failed", failure_reason="unknown")
    letters = world.mail("refund.created", "refund.updated", "refund.failed", "charge.refunded")
    assert len(letters) == 4
    for order in permutations(letters):
        with world.undone():
            world.deliver(order)
            world.work()
            assert purchase.told() == ("CANCELLED", "PAID", "CANCELLED")
            assert open_attention() == ["REFUND_FAILED"]
            assert len(refund_intents()) == 1


def test_r13_a_refund_that_stripe_refuses_is_said_and_never_repeated(world: World) -> None:
    purchase = bought(world)
    world.stripe.room("refund/next", error="balance_insufficient")

    assert purchase.cancels() == ("CANCELLED", "FAILED"), "the first answer is 200 (DESIGN 6.9)"

    assert purchase.asks_to_cancel().json()["error"]["code"] == "REFUND_FAILED"
    assert open_attention() == ["REFUND_FAILED"]
    with time_machine.travel(timezone.now() + DAYS):
        world.hear()
    assert refund_intents() == [(Outcome.REJECTED, PRICE)]
    assert world.money()["refunded"] == 0


@pytest.mark.parametrize("end", ["succeeded", "failed", "canceled"])
def test_r13_a_refund_that_waits_for_the_payer(world: World, end: str) -> None:
    purchase = bought(world)
    world.stripe.room("refund/next", status="requires_action")
    assert purchase.cancels() == ("CANCELLED", "PENDING")

    world.stripe.room(f"refund/{Refund.objects.get().refund_id}", status=end)
    world.hear()

    went_back = end == "succeeded"
    assert purchase.told() == ("CANCELLED", "REFUNDED" if went_back else "PAID", "CANCELLED")
    assert open_attention() == ([] if went_back else ["REFUND_FAILED"])
    assert len(refund_intents()) == 1


# R14: a refund is on its way for days.


def test_r14_a_pending_refund_is_counted_and_after_five_days_a_person_looks(world: World) -> None:
    purchase = bought(world)
    world.stripe.room("refund/next", status="pending")
    assert purchase.cancels() == ("CANCELLED", "PENDING")
    world.hear()
    began = timezone.now()
    for after, attention in ((4 * DAYS, []), (5 * DAYS + MINUTES, ["REFUND_SLOW"])):
        with time_machine.travel(began + after):
            world.hear()
            assert open_attention() == attention
            assert purchase.cancels() == ("CANCELLED", "PENDING")
            assert purchase.told() == ("CANCELLED", "PAID", "CANCELLED"), "pending changes no payment status"
    with time_machine.travel(began + 6 * DAYS):
        world.stripe.room(f"refund/{Refund.objects.get().refund_id}", status="succeeded")
        world.hear()

        assert purchase.told() == ("CANCELLED", "REFUNDED", "CANCELLED")
        assert purchase.cancels() == ("CANCELLED", "COMPLETED")
    assert refund_intents() == [(Outcome.DONE, PRICE)]
    assert open_attention() == []


# Two payments, and an end.


@pytest.mark.parametrize(("ahead", "back"), [(10 * DAYS, 2 * PRICE), (18 * HOURS, PRICE * 3 // 2), (6 * HOURS, PRICE)])
def test_a_double_payment_goes_back_whole_beside_what_the_policy_gives(world: World, ahead: Any, back: int) -> None:
    """Money that nobody owed is not subject to the policy; of each payment no more goes back than was captured."""
    purchase = begun(world, ahead=ahead)
    intent = Checkout.objects.get().intent
    assert intent
    purchase.pays()
    world.stripe.room("payment", amount=PRICE, currency="usd", metadata={"intent": intent.id})
    with time_machine.travel(timezone.now() + MINUTES):
        purchase.cancels()
        world.hear()
        world.hear()

    assert world.money() == {"captured": 2 * PRICE, "refunded": back}
    payments = world.stripe.look("ledger")["payments"].values()
    assert all(one["refunded"] <= one["captured"] for one in payments)
    assert purchase.told()[0] == "CANCELLED"
    assert open_attention() == []


def test_a_surplus_that_waits_for_stripe_is_not_sent_twice_when_the_flow_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = begun(world)
    intent = Checkout.objects.get().intent
    assert intent
    purchase.pays()
    world.stripe.room("payment", amount=PRICE, currency="usd", metadata={"intent": intent.id})
    world.deliver()
    for delivery in Delivery.objects.filter(state=State.DUE):
        process(delivery.pk)
    assert refund_intents() == [(Outcome.OPEN, PRICE)]

    no_time_for_providers(monkeypatch)
    with time_machine.travel(timezone.now() + MINUTES):
        purchase.cancels()
        world.hear()

    assert world.money() == {"captured": 2 * PRICE, "refunded": 2 * PRICE}
    assert [amount for outcome, amount in refund_intents() if outcome == Outcome.DONE] == [PRICE, PRICE]
