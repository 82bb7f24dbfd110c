"""The inbox against crowds, crashes and strangers: LIFECYCLE R23 to R25, R32 and R35, and what nobody understands."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from pytest_django.fixtures import Settings

from bookings.models import Attention, Booking, BookingFlow, SessionType, TimelineEntry
from payments.models import Payment
from webhooks import inbox, tasks
from webhooks.models import Delivery, State
from webhooks.tests.world import Letter, World, at_once, open_attention


def forget_all_jobs() -> None:
    """As after a crash that took the queue with it."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")


def waiting_jobs(about: str) -> int:
    return ProcrastinateJob.objects.filter(args__delivery_id=about, status="todo").count()


def changed(letter: Letter, **change: Any) -> Letter:
    """The letter with other values at the top of its body."""
    return Letter(letter.provider, letter.name, json.dumps({**json.loads(letter.body), **change}).encode())


# R23: one delivery, many hands.


@pytest.mark.django_db(transaction=True)
def test_fifty_posts_of_one_delivery_at_once_are_one_row(world: World) -> None:
    casey = world.person()
    world.book(casey.initiate())
    (letter,) = world.mail()

    answers = at_once(*[lambda: world.post(letter)] * 50)

    assert {answer.status_code for answer in answers} == {200}
    assert Delivery.objects.count() == 1
    world.work()
    assert Booking.objects.count() == len(world.sessions()) == 1


@pytest.mark.django_db(transaction=True)
def test_one_delivery_on_two_workers_has_one_effect(world: World) -> None:
    casey = world.person()
    first, second = world.book(flow_id := casey.initiate()), world.book(flow_id)
    world.deliver()
    # The second one makes a flow of its own (R38): that is what two workers could do twice.
    for delivery in Delivery.objects.order_by("received_at"):
        at_once(*[lambda key=delivery.pk: tasks.process(key)] * 3)
    world.work()

    assert set(Delivery.objects.values_list("state", flat=True)) == {State.PROCESSED}
    assert set(Booking.objects.values_list("invitee_id", flat=True)) == {first["invitee_id"], second["invitee_id"]}
    assert BookingFlow.objects.count() == len(world.sessions()) == 2
    booked = TimelineEntry.objects.filter(what__endswith="is booked")
    assert booked.count() == 2
    assert open_attention() == []


@pytest.mark.django_db(transaction=True)
def test_money_told_to_two_workers_is_counted_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    casey = world.person()
    _, booking_id, session_id = world.walk_to_payment(casey)
    world.pay(session_id)
    world.deliver()
    due = Delivery.objects.filter(state=State.DUE).values_list("pk", flat=True)

    at_once(*[lambda key=key: tasks.process(key) for key in due for _ in range(2)])
    assert "failed" not in caplog.text, "they wait for one another, they do not collide"
    world.work()

    assert set(Delivery.objects.values_list("state", flat=True)) == {State.PROCESSED}
    assert casey.status(booking_id)["paymentStatus"] == "PAID"
    assert Payment.objects.get().captured_minor == world.money()["captured"]
    assert world.money()["refunded"] == 0


def test_a_worker_that_fails_late_does_not_undo_what_another_did(world: World) -> None:
    world.book(world.person().initiate())
    world.deliver()
    delivery = Delivery.objects.get()
    Delivery.objects.update(attempts=inbox.TRIES - 1)

    def overtaken(_: Delivery) -> str:
        tasks.process(delivery.pk)
        raise ValueError("too late")

    inbox.process(delivery.pk, overtaken)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == (State.PROCESSED, "")
    assert open_attention() == []


# R24: death after the 2xx.


@pytest.mark.django_db(transaction=True)
def test_the_sweeper_finds_a_delivery_whose_job_was_lost(world: World) -> None:
    forget_all_jobs()
    casey = world.person()
    world.book(casey.initiate())
    world.deliver()
    delivery = Delivery.objects.get()
    assert waiting_jobs(delivery.pk) == 1
    forget_all_jobs()

    tasks.sweep(0)
    assert waiting_jobs(delivery.pk) == 0, "the first knock may still be on its way"
    with time_machine.travel(timezone.now() + inbox.GRACE):
        tasks.sweep(0)
        tasks.sweep(0)
    assert waiting_jobs(delivery.pk) == 1

    tasks.process(delivery.pk)
    assert Booking.objects.count() == 1
    forget_all_jobs()
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        tasks.sweep(0)
    assert waiting_jobs(delivery.pk) == 0, "nothing is left to do"


# R25: a delivery that always fails.


def test_a_delivery_that_always_fails_is_parked_and_others_go_on(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    world.calendly.room("shape", shape="contract")  # these lack what is then read back
    world.book(flow_id)
    (letter,) = world.mail()
    known = json.loads(letter.body)["payload"]["data"]["invitee"]["uri"].rpartition("/")[2]
    stranger = Letter("calendly", letter.name, letter.body.replace(known.encode(), b"0" * 36))
    world.deliver([stranger])
    delivery = Delivery.objects.get()

    waits = []
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(inbox.TRIES):
            assert delivery.state == State.DUE
            tasks.process(delivery.pk)
            delivery.refresh_from_db()
            waits.append((delivery.next_at - inbox.GRACE - timezone.now()).total_seconds())
            clock.shift(max(waits[-1], 0))

    assert waits[:-1] == [0.5, 1, 2, 4]
    assert (delivery.state, delivery.attempts) == (State.PARKED, 5)
    assert "Refused" in delivery.reason
    attention = Attention.objects.get(closed_at=None)
    assert (attention.kind, attention.object_id) == ("DELIVERY_PARKED", delivery.pk)
    tasks.process(delivery.pk)
    world.deliver([letter])
    world.work()
    assert Booking.objects.get().invitee_id == known
    assert len(world.sessions()) == 1


def test_a_delivery_waits_for_a_provider_that_is_away_and_is_not_parked(world: World, settings: Settings) -> None:
    casey = world.person()
    world.calendly.room("shape", shape="contract")
    world.book(casey.initiate())
    world.deliver()
    base, settings.CALENDLY_API_BASE = settings.CALENDLY_API_BASE, "http://127.0.0.1:9"
    for _ in range(inbox.TRIES + 1):
        world.work()
    assert Delivery.objects.get().state == State.DUE
    assert Delivery.objects.get().next_at > timezone.now()

    settings.CALENDLY_API_BASE = base
    world.work()

    assert Booking.objects.count() == 1


# R32: strangers.

STRANGE: dict[str, tuple[Callable[[Letter], Letter], str]] = {
    "another account": (lambda letter: changed(letter, account="acct_another"), "Another account"),
    "live mode": (lambda letter: changed(letter, livemode=True), "Live mode and test mode do not mix"),
    "no mode": (lambda letter: changed(letter, livemode=None), "Live mode and test mode do not mix"),
    "an unknown type": (lambda letter: changed(letter, type="customer.created"), "No rule for this type"),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_what_does_not_concern_us_is_kept_and_ignored(world: World, strange: str) -> None:
    casey = world.person()
    flow_id, _, session_id = world.walk_to_payment(casey)
    before = world.end(flow_id)
    world.pay(session_id)
    change, reason = STRANGE[strange]
    for letter in world.mail():
        answer = world.post(change(letter))
        assert (answer.status_code, answer.json()) == (200, {"success": True, "message": "Webhook received"})

    world.work()

    stripes = Delivery.objects.filter(provider="stripe")
    assert set(stripes.values_list("state", "reason")) == {(State.IGNORED, reason)}
    assert world.end(flow_id) == before
    assert open_attention() == []


def test_money_and_invitees_that_are_none_of_ours_are_ignored(world: World) -> None:
    world.stripe.room("payment", amount=500, currency="usd")
    world.calendly.room("book", event_type="studio-visit", name="Somebody", email="somebody@example.com")
    SessionType.objects.filter(name="Studio visit").delete()
    world.deliver()
    world.work()

    assert set(Delivery.objects.values_list("state", "reason")) == {
        (State.IGNORED, "No booking of ours"),
        (State.IGNORED, "the event type is not mapped"),
    }
    assert not BookingFlow.objects.exists()


# R35: a signing key is being rolled.


def test_the_previous_and_the_present_key_verify_and_a_third_does_not(world: World, settings: Settings) -> None:
    world.book(world.person().initiate())
    (from_calendly,) = world.mail()
    world.stripe.room("payment", amount=500, currency="usd")
    from_stripe = world.mail()[0]
    settings.CALENDLY_WEBHOOK_SIGNING_KEYS = settings.STRIPE_WEBHOOK_SECRETS = ["the present key", "the previous key"]

    for letter in (from_calendly, from_stripe):
        refused = world.post(letter, secret="another key")
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "WEBHOOK_VERIFICATION_FAILED")
        assert not Delivery.objects.filter(provider=letter.provider).exists()
        for secret in ("the present key", "the previous key"):
            assert world.post(letter, secret=secret).status_code == 200
        assert Delivery.objects.filter(provider=letter.provider).count() == 1


# What nobody understands.

CALENDLY_SHAPES = [
    {},
    {"event": "invitee.created"},
    {"event": "invitee.created", "payload": []},
    {"event": ["invitee.created"], "payload": {"uri": "https://api.calendly.com/scheduled_events/E/invitees/I"}},
    {"event": "invitee.created", "payload": {"uri": 7}},
    {"event": "invitee.created", "payload": {"uri": "https://api.calendly.com/elsewhere/I"}},
    {"event": "invitee.created", "payload": {"data": {"invitee": "I", "event": {}}}},
    {"event": "invitee.created", "payload": {"uri": "\x00"}},
    {"event": "invitee.\x00", "payload": {}},
    {"event": "x" * 5_000, "payload": {"uri": "https://api.calendly.com/scheduled_events/E/invitees/I"}},
]
STRIPE_SHAPES = [
    {},
    {"id": "evt_1", "type": "charge.succeeded"},
    {"id": 7, "type": "charge.succeeded", "created": 1, "livemode": False, "data": {"object": {}}},
    {"id": "evt_1", "type": 7, "created": 1, "livemode": False, "data": {"object": {}}},
    {"id": "evt_1", "type": "charge.succeeded", "created": True, "livemode": False, "data": {"object": {}}},
    {"id": "evt_1", "type": "charge.succeeded", "created": 10**14, "livemode": False, "data": {"object": {}}},
    {"id": "evt_1", "type": "charge.succeeded", "created": 1, "livemode": False, "data": {"object": []}},
    {"id": "evt_\x00", "type": "charge.\x00", "created": 1, "livemode": False, "data": {"object": {"id": "\x00"}}},
]


@pytest.mark.parametrize("shape", range(len(CALENDLY_SHAPES) + len(STRIPE_SHAPES)))
def test_a_verified_body_that_nobody_understands_is_kept_and_parked(world: World, shape: int) -> None:
    shapes = [("calendly", one) for one in CALENDLY_SHAPES] + [("stripe", one) for one in STRIPE_SHAPES]
    provider, body = shapes[shape]
    letter = Letter(provider, "", json.dumps(body).encode())

    world.deliver([letter, letter])
    world.work()

    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, bytes(delivery.body)) == (State.PARKED, 0, letter.body)
    assert delivery.reason
    assert open_attention() == ["DELIVERY_PARKED"]


@pytest.mark.parametrize("field", ["amount_received", "currency", "metadata", "id"])
def test_a_money_object_with_a_field_of_another_type_is_parked(world: World, field: str) -> None:
    casey = world.person()
    _, booking_id, session_id = world.walk_to_payment(casey)
    world.pay(session_id)
    (letter,) = world.mail("payment_intent.succeeded")
    body = json.loads(letter.body)
    body["data"]["object"][field] = [1]

    world.deliver([changed(letter, data=body["data"])])
    world.work()

    assert Delivery.objects.get(name="payment_intent.succeeded").state == State.PARKED
    assert casey.status(booking_id)["status"] == "PENDING"
    world.hear()
    assert casey.status(booking_id)["status"] == "CONFIRMED", "others go on"


@pytest.mark.parametrize("body", [b"[]", b"7", b"not JSON", b"\xff\xfe", b'{"a":' * 5_000 + b"1" + b"}" * 5_000])
def test_a_signed_body_that_is_no_object_is_refused_and_writes_nothing(world: World, body: bytes) -> None:
    for provider in ("calendly", "stripe"):
        answer = world.post(Letter(provider, "", body))
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert not Delivery.objects.exists()


def test_text_that_postgresql_refuses_is_parked_and_others_go_on(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    world.book(flow_id)
    (letter,) = world.mail()
    spoiled = Letter("calendly", letter.name, letter.body.replace(b"Casey Client", b"Ca\\u0000sey \\ud800"))

    world.deliver([spoiled, letter])
    world.work()

    assert sorted(Delivery.objects.values_list("state", flat=True)) == [State.PARKED, State.PROCESSED]
    assert Booking.objects.get().flow_id == flow_id
    assert open_attention() == ["DELIVERY_PARKED"]
