"""Every webhook lost: what `reconcile` reads back leads to the same end, and what it does not find changes nothing."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from djstripe import models as djstripe

from bookings.facts import IntentKind
from bookings.models import Booking, BookingFlow, Intent, SessionType
from operations.tests.rereading import AGREED, LEFT, MENDED, heard, later, nothing_changes, paid, run
from payments.models import Checkout, Dispute, MirrorMark, Payment, Refund
from payments.tasks import reread
from webhooks.tests.world import CONSULTATION, CURRENCY, PRICE, World, open_attention


def test_reading_alone_confirms_a_paid_booking_and_ends_as_the_webhooks_do(world: World) -> None:
    flow_id, payment_id = paid(world)

    booking = Booking.objects.get(flow_id=flow_id)
    assert (booking.status, booking.flow.payment_status) == ("CONFIRMED", "PAID")
    payment = Payment.objects.get(pk=payment_id)
    assert (payment.captured_minor, payment.currency, payment.provisional) == (PRICE, CURRENCY, False)
    before = world.end(flow_id)
    with nothing_changes():
        assert run() == AGREED

    world.hear()  # and now all that was lost
    assert world.end(flow_id) == before


def test_a_second_run_finds_nothing_after_the_webhooks_either(world: World) -> None:
    heard(world)
    run()
    with nothing_changes():
        assert run() == AGREED


def test_a_run_after_the_webhooks_finds_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    heard(world)
    with nothing_changes():
        assert run() == AGREED
    assert capsys.readouterr().out == "3 looked at, 0 new, 0 left for a person\n"


def test_each_thing_that_was_new_is_one_line(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    flow_id = world.person().initiate()
    booked = world.book(flow_id)
    capsys.readouterr()
    assert run() == MENDED
    lines = capsys.readouterr().out.splitlines()
    invitee_id = booked["invitee_uri"].rpartition("/")[2]
    assert lines == [
        f"new   {flow_id}  invitee {invitee_id}: it was not known",
        "1 looked at, 1 new, 0 left for a person",
    ]


@pytest.mark.parametrize("by", ["invitee", "host"])
def test_a_lost_cancel_is_heard_and_the_money_goes_back(world: World, by: str) -> None:
    flow_id, _ = heard(world)
    invitee_uri = Booking.objects.get(flow_id=flow_id).invitee_uri
    world.calendly.room("cancel", invitee=invitee_uri, by=by)

    assert run() == MENDED
    assert world.money()["refunded"] == 0  # which is the worker's to do
    world.work()
    assert run() == AGREED
    booking = Booking.objects.get(flow_id=flow_id)
    assert (booking.status, booking.flow.payment_status) == ("CANCELLED", "REFUNDED")
    assert world.money() == {"captured": PRICE, "refunded": PRICE}


@pytest.mark.parametrize("copies_tracking", [True, False])
def test_lost_reschedules_are_followed_to_the_last_one(world: World, copies_tracking: bool) -> None:
    world.calendly.room("switches", reschedule_copies_tracking=copies_tracking)
    flow_id, _ = heard(world)
    invitee_uri = Booking.objects.get(flow_id=flow_id).invitee_uri
    for _ in range(3):
        invitee_uri = world.calendly.room("reschedule", invitee=invitee_uri)["invitee_uri"]

    assert run() == MENDED
    world.work()
    bookings = Booking.objects.filter(flow_id=flow_id)
    assert sorted(bookings.values_list("status", flat=True)) == ["CONFIRMED", *["RESCHEDULED"] * 3]
    assert bookings.get(status="CONFIRMED").invitee_uri == invitee_uri
    assert world.money()["refunded"] == 0
    assert open_attention() == []
    with nothing_changes():
        assert run() == AGREED


def test_a_chain_of_which_nothing_was_heard_becomes_one_flow(world: World) -> None:
    world.calendly.room("switches", reschedule_copies_tracking=False)
    flow_id = world.person().initiate()
    invitee_uri = world.book(flow_id)["invitee_uri"]
    for _ in range(2):
        invitee_uri = world.calendly.room("reschedule", invitee=invitee_uri)["invitee_uri"]

    assert run() == MENDED
    assert BookingFlow.objects.count() == 1
    assert Booking.objects.filter(flow_id=flow_id).count() == 3
    assert run() == AGREED


def test_a_lost_reschedule_to_an_event_type_that_is_not_ours_is_followed_too(world: World) -> None:
    flow_id, _ = heard(world)
    invitee_uri = Booking.objects.get(flow_id=flow_id).invitee_uri
    Booking.objects.get(flow_id=flow_id).flow.session_type.builder.session_types.exclude(name=CONSULTATION).delete()
    world.calendly.room("reschedule", invitee=invitee_uri, event_type="intro")

    assert run() == MENDED
    world.work()
    assert Booking.objects.filter(flow_id=flow_id).count() == 2
    assert open_attention(flow_id) == ["EVENT_TYPE_CHANGED"]


def test_a_direct_booking_is_placed_once_store_event_has_had_its_time(world: World) -> None:
    SessionType.objects.update(active_since=timezone.now() - timedelta(days=1))
    world.book(email="dora@example.com", name="Dora")
    assert run() == LEFT
    assert not BookingFlow.objects.exists()
    world.calendly.room("clock", advance_seconds=-300)
    world.book(email="emil@example.com", name="Emil")
    world.calendly.room("clock", advance_seconds=300)

    assert run() == LEFT
    assert list(Booking.objects.values_list("email", "flow__direct")) == [("emil@example.com", True)]


def test_a_booking_from_before_the_session_type_was_ours_is_left_alone(world: World) -> None:
    SessionType.objects.update(active_since=timezone.now() + timedelta(hours=1))
    world.calendly.room("clock", advance_seconds=-300)
    world.book(email="emil@example.com", name="Emil")
    world.calendly.room("clock", advance_seconds=300)
    assert run() == AGREED
    assert not BookingFlow.objects.exists()


def test_a_refund_made_in_the_dashboard_is_heard(world: World) -> None:
    flow_id, payment_id = heard(world)
    world.stripe.room("refund", payment_intent=payment_id, amount=5_000)

    assert run() == MENDED
    refund = Refund.objects.get(payment=payment_id)
    assert (refund.amount_minor, refund.status, refund.intent) == (5_000, "succeeded", None)
    assert BookingFlow.objects.get(pk=flow_id).payment_status == "PARTIALLY_REFUNDED"
    with nothing_changes():
        assert run() == AGREED


def test_a_refund_that_failed_long_after_it_was_made_is_read_by_its_id(world: World) -> None:
    flow_id, payment_id = heard(world)
    world.stripe.room("refund/next", status="pending")
    refund_id = world.stripe.room("refund", payment_intent=payment_id, amount=5_000)["id"]
    run()
    world.stripe.room(f"refund/{refund_id}", status="failed")

    assert run(since=later()) == MENDED
    assert Refund.objects.get().status == "failed"
    assert BookingFlow.objects.get(pk=flow_id).payment_status == "PAID"


def test_a_dispute_is_heard_and_its_end(world: World) -> None:
    flow_id, payment_id = heard(world)
    dispute_id = world.stripe.room("dispute", payment_intent=payment_id)["id"]
    assert run() == MENDED
    assert BookingFlow.objects.get(pk=flow_id).disputed
    world.stripe.room(f"dispute/{dispute_id}", status="lost")

    assert run(since=later()) == MENDED
    assert Dispute.objects.get().status == "lost"
    with nothing_changes():
        assert run() == AGREED


def test_what_went_back_before_is_known_when_the_end_is_heard(world: World) -> None:
    """A refund and the host's cancel, both unheard: as after a restore, nothing goes back twice (R36)."""
    _, payment_id = heard(world)
    world.stripe.room("refund", payment_intent=payment_id, amount=5_000)
    world.calendly.room("cancel", invitee=Booking.objects.get().invitee_uri, by="host")

    assert run() == MENDED
    assert refunds_due() == [PRICE - 5_000]
    world.work()
    assert world.money() == {"captured": PRICE, "refunded": PRICE}


def test_money_for_an_ended_flow_that_went_back_already_is_not_sent_back_again(world: World) -> None:
    _, _, session_id = world.walk_to_payment(world.person())
    world.calendly.room("cancel", invitee=Booking.objects.get().invitee_uri, by="host")
    run("reconcile_calendly")
    world.pay(session_id)
    world.stripe.room("refund", payment_intent=world.sessions()[0]["payment_intent"])

    assert run() == MENDED
    assert refunds_due() == []
    assert BookingFlow.objects.get().payment_status == "REFUNDED"


def refunds_due() -> list[int]:
    """What we have decided to send back, whatever became of it."""
    return list(Intent.objects.filter(kind=IntentKind.REFUND).values_list("amount_minor", flat=True))


def test_a_delayed_payment_that_failed_is_heard(world: World, settings: Any) -> None:
    settings.STRIPE_PAYMENT_METHODS = ["card", "sepa_debit"]
    SessionType.objects.update(currency="EUR")
    flow_id, _, session_id = world.walk_to_payment(world.person())
    world.stripe.room(f"checkout/{session_id}", action="pay_later")
    assert run() == MENDED
    assert BookingFlow.objects.get(pk=flow_id).payment_status == "PENDING"
    world.stripe.room(f"async/{session_id}", result="failed")

    assert run() == MENDED
    assert Checkout.objects.get().async_result == "failed"
    assert BookingFlow.objects.get(pk=flow_id).payment_status == "FAILED"
    with nothing_changes():
        assert run() == AGREED


def test_one_booking_is_read_alone(world: World) -> None:
    flow_id, payment_id = heard(world)
    other_id, other_payment = heard(world)
    for one in (payment_id, other_payment):
        world.stripe.room("refund", payment_intent=one, amount=5_000)
    booking = Booking.objects.get(flow_id=flow_id)
    world.calendly.room("cancel", invitee=booking.invitee_uri, by="host")

    assert run(booking=booking.id) == MENDED
    assert Refund.objects.get().payment_id == payment_id
    booking.refresh_from_db()
    assert booking.status == "CANCELLED"
    assert run(booking=flow_id) == AGREED
    assert run(booking=other_id) == MENDED


def test_a_stranger_is_told_apart(world: World) -> None:
    """Money, refunds and events that have nothing to do with us are read and left alone."""
    stranger = world.stripe.room("payment", amount=700, currency="usd")
    world.stripe.room("refund", payment_intent=stranger["id"], amount=100)
    assert run() == AGREED
    assert not Payment.objects.exists()


def test_the_copies_for_staff_are_read_anew(world: World) -> None:
    _, payment_id = paid(world)
    copied = {"checkout.session", "payment_intent", "charge"}
    assert set(MirrorMark.objects.filter(stale=True).values_list("kind", flat=True)) == copied
    reread(timestamp=0)
    assert not MirrorMark.objects.filter(stale=True).exists()
    assert djstripe.PaymentIntent.objects.get(id=payment_id).stripe_data["amount_received"] == PRICE
    run()
    assert not MirrorMark.objects.filter(stale=True).exists()
