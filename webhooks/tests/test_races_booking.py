"""Calendly's news against the client's own: LIFECYCLE R1 to R4, R37 and R38, and store-event without Calendly."""

import re
import time
import uuid
from datetime import timedelta

import pytest
import responses
import time_machine
from django.utils import timezone
from pytest_django.fixtures import Settings

from bookings.models import Booking, BookingFlow, SessionType
from webhooks.models import Delivery
from webhooks.tests.world import CASEY, INTRO, World, at_once, open_attention

WRONG = str(uuid.UUID(int=7))
"""An id that Calendly does not know."""


def addresses(event_id: str = WRONG, invitee_id: str = WRONG) -> dict[str, str]:
    event = f"https://api.calendly.com/scheduled_events/{event_id}"
    return {"event_uri": event, "invitee_uri": f"{event}/invitees/{invitee_id}"}


def without_request_id(body: bytes) -> str:
    return re.sub(r'"requestId": "[^"]*"', "", body.decode())


# R1: the webhook and store-event, whichever comes first.


def test_a_webhook_before_store_event_is_the_same_booking(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    booked = world.book(flow_id)
    world.hear()
    booking = Booking.objects.get()

    answer = casey.store_event(flow_id, booked).json()

    assert answer["bookingId"] == booking.id
    assert answer["nextAction"] == "REDIRECT_TO_PAYMENT"
    assert answer["paymentUrl"] == world.sessions()[0]["url"]
    assert Booking.objects.get().invitee_id == booked["invitee_id"]


def test_store_event_before_the_webhook_is_the_same_booking(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    booked = world.book(flow_id)
    answer = casey.store_event(flow_id, booked).json()

    world.hear()

    assert answer["nextAction"] == "REDIRECT_TO_PAYMENT"
    assert Booking.objects.get().id == answer["bookingId"]
    assert len(world.sessions()) == 1


def test_a_webhook_takes_over_the_booking_of_a_wrong_address(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    booked = world.book(flow_id)
    answer = casey.store_event(flow_id, addresses()).json()
    assert (answer["nextAction"], answer["paymentUrl"]) == ("AWAIT_WEBHOOK", None)

    world.hear()

    booking = Booking.objects.get()
    assert (booking.id, booking.invitee_id) == (answer["bookingId"], booked["invitee_id"])
    assert booked["invitee_uri"].endswith(booking.invitee_uri.removeprefix(world.calendly.base))
    world.pay(world.sessions()[0]["id"])
    world.hear()
    assert casey.status(booking.id)["status"] == "CONFIRMED"
    assert open_attention() == []


def test_a_wrong_address_after_the_webhook_changes_nothing(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    booked = world.book(flow_id)
    world.hear()

    answer = casey.store_event(flow_id, addresses()).json()

    booking = Booking.objects.get()
    assert (answer["bookingId"], booking.invitee_id) == (booking.id, booked["invitee_id"])
    assert answer["nextAction"] == "REDIRECT_TO_PAYMENT"


@pytest.mark.django_db(transaction=True)
def test_store_event_and_the_webhook_at_once_are_one_booking(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    booked = world.book(flow_id)
    world.deliver()

    answers = at_once(*[lambda: casey.store_event(flow_id, booked)] * 2, world.work, world.work)[:2]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert {answer.json()["bookingId"] for answer in answers} == {Booking.objects.get().id}
    assert Booking.objects.get().invitee_id == booked["invitee_id"]
    assert Delivery.objects.get().state == "processed"
    world.work()
    assert len(world.sessions()) == 1


# R2: store-event is never called.


def test_the_webhook_alone_is_enough_and_tells_who_the_client_is(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    world.book(flow_id, email="home@example.com", name="Cassandra Client")
    world.hear()
    booking = Booking.objects.get()
    assert (booking.name, booking.email) == ("Cassandra Client", "home@example.com")
    assert world.sessions()[0]["customer_email"] == "home@example.com"

    world.pay(world.sessions()[0]["id"])
    world.hear()

    told = casey.status(booking.id)
    assert (told["status"], told["paymentStatus"], told["calendlyStatus"]) == ("CONFIRMED", "PAID", "ACTIVE")


def test_without_a_flow_id_what_store_event_said_finds_the_flow(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    booked = world.book()  # the link was opened without its parameters
    world.calendly.breaks("GET", "/scheduled_events/*", *["fail_before"] * 3)
    booking_id = casey.store_event(flow_id, booked).json()["bookingId"]

    world.hear()

    assert Booking.objects.get(invitee_id=booked["invitee_id"]).id == booking_id


def test_without_a_flow_id_and_store_event_the_one_pending_flow_of_the_client_is_found(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    world.book(email=CASEY.upper())
    world.hear()
    assert not Booking.objects.exists()

    with time_machine.travel(timezone.now() + timedelta(minutes=3)):
        world.work()

    assert Booking.objects.get().flow_id == flow_id
    assert open_attention() == []


# R3: Calendly does not know the address.


def test_an_unknown_address_is_given_up_when_the_hold_is_over(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    booking_id = casey.store_event(flow_id, addresses()).json()["bookingId"]
    assert casey.status(booking_id)["status"] == "PENDING"
    refused = casey.checkout(booking_id)
    assert (refused.status_code, refused.json()["error"]["details"]["reason"]) == (409, "unseen")

    with time_machine.travel(timezone.now() + timedelta(minutes=29)):
        world.work()
        assert casey.status(booking_id)["status"] == "PENDING"
    with time_machine.travel(timezone.now() + timedelta(minutes=31)):
        world.work()
        told = casey.status(booking_id)
        assert (told["status"], told["paymentStatus"], told["calendlyStatus"]) == ("CANCELLED", "UNPAID", "CANCELLED")
        assert casey.checkout(booking_id).status_code == 410
    assert world.sessions() == []


def test_the_time_that_the_client_claims_is_no_fact(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    said = {"calendlyEventUri": addresses()["event_uri"], "calendlyInviteeUri": addresses()["invitee_uri"]}
    answer = casey.post(
        "/api/scheduling/calendly/store-event",
        **{"bookingFlowId": flow_id, "scheduledTime": "2026-01-01T00:00:00Z"} | said,
    )

    booking = Booking.objects.get(pk=answer.json()["bookingId"])
    assert booking.start is None
    assert casey.status(booking.id)["scheduledTime"] == "2026-01-01T00:00:00Z"
    # A start in the past would have ended the hold at once.
    assert casey.status(booking.id)["status"] == "PENDING"


# R4: a foreign flow, a taken slot.


def test_a_foreign_flow_is_answered_exactly_as_an_unknown_one(world: World) -> None:
    casey, mallory = world.person(), world.person("mallory@example.com")
    flow_id = casey.initiate()
    booked = world.book(flow_id)

    foreign, unknown = mallory.store_event(flow_id, booked), mallory.store_event("bf_" + "0" * 26, booked)

    assert foreign.status_code == unknown.status_code == 404
    assert foreign.json()["error"]["code"] == "BOOKING_NOT_FOUND"
    assert without_request_id(foreign.content) == without_request_id(unknown.content)
    assert not Booking.objects.exists()


@pytest.mark.parametrize("told_by", ["our own rows", "Calendly"])
def test_somebody_elses_slot_is_a_conflict(world: World, told_by: str) -> None:
    casey, mallory = world.person(), world.person("mallory@example.com")
    theirs, mine = casey.initiate(), mallory.initiate()
    booked = world.book(theirs)
    if told_by == "our own rows":
        world.hear()
        world.calendly.breaks("GET", "/scheduled_events/*", *["fail_before"] * 3)

    answer = mallory.store_event(mine, booked)

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "BOOKING_CONFLICT")
    assert not Booking.objects.filter(flow_id=mine).exists()


def test_a_slot_claimed_while_calendly_was_silent_still_goes_to_whose_link_it_was(world: World) -> None:
    casey, mallory = world.person(), world.person("mallory@example.com")
    theirs, mine = casey.initiate(), mallory.initiate()
    booked = world.book(theirs)
    world.calendly.breaks("GET", "/scheduled_events/*", *["fail_before"] * 3)
    claimed = mallory.store_event(mine, booked)
    assert claimed.status_code == 200

    world.hear()

    assert Booking.objects.get(invitee_id=booked["invitee_id"]).flow_id == theirs
    with time_machine.travel(timezone.now() + timedelta(minutes=31)):
        world.work()
        assert mallory.status(claimed.json()["bookingId"])["status"] == "CANCELLED"


# R37: nothing to pay.


def test_a_free_session_is_confirmed_when_it_is_seen_and_stripe_is_not_called(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate(INTRO)
    booked = world.book(flow_id, what=INTRO)
    unseen = casey.store_event(flow_id, addresses()).json()
    assert casey.status(unseen["bookingId"])["status"] == "PENDING"

    world.hear()

    told = casey.status(unseen["bookingId"])
    assert (told["status"], told["paymentStatus"]) == ("CONFIRMED", "PAID")
    seen = casey.store_event(flow_id, booked).json()
    assert (seen["nextAction"], seen["paymentUrl"], seen["expiresAt"]) == ("AWAIT_WEBHOOK", None, None)
    with time_machine.travel(timezone.now() + timedelta(minutes=40)):
        world.work()
        assert casey.status(unseen["bookingId"])["status"] == "CONFIRMED"
    assert world.stripe.look("ledger")["objects"].get("checkout.session") is None
    assert casey.checkout(unseen["bookingId"]).json()["error"]["details"]["reason"] == "free"


# R38: the same scheduling link used twice.


def test_a_second_invitee_of_one_link_gets_a_flow_of_their_own(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    world.book(flow_id)
    world.hear()
    before = world.end(flow_id)
    SessionType.objects.update(price_minor=15_000)

    second = world.book(flow_id, email=CASEY)
    letters = world.mail()
    world.deliver(letters + letters)
    world.work()
    world.deliver(letters)
    world.work()

    own = Booking.objects.get(invitee_id=second["invitee_id"]).flow
    first = BookingFlow.objects.get(pk=flow_id)
    assert BookingFlow.objects.count() == 2
    assert world.end(flow_id) == before
    assert own.client == first.client
    assert (own.price_minor, own.direct) == (15_000, False), "today's snapshot"
    assert own.hold_ends_at is not None
    assert own.hold_ends_at > timezone.now()
    assert sorted(session["amount_total"] for session in world.sessions()) == [12_000, 15_000]
    assert casey.store_event(flow_id, second).status_code == 409


def test_a_second_invitee_with_another_address_is_a_direct_booking_that_needs_a_person(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    world.book(flow_id)
    world.hear()

    second = world.book(flow_id, email="friend@example.com")
    world.hear()

    own = Booking.objects.get(invitee_id=second["invitee_id"]).flow
    assert (own.client, own.direct, own.hold_ends_at) == (None, True, None)
    assert open_attention(own.id) == ["DIRECT_BOOKING"]
    assert open_attention(flow_id) == []
    with time_machine.travel(timezone.now() + timedelta(days=2)):
        world.work()
    own.refresh_from_db()
    assert own.decision_row == "", "never cancelled by itself"


def test_a_second_invitee_with_an_account_of_ours_is_that_client(world: World) -> None:
    casey, friend = world.person(), world.person("friend@example.com")
    friend.initiate(INTRO)  # makes the client
    flow_id = casey.initiate()
    world.book(flow_id)
    world.hear()

    second = world.book(flow_id, email=friend.email)
    world.hear()

    own = Booking.objects.get(invitee_id=second["invitee_id"]).flow
    assert own.client is not None
    assert (own.client.email, own.direct) == (friend.email, True)


def test_which_of_two_invitees_is_the_first_is_all_that_their_order_decides(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    first, second = world.book(flow_id), world.book(flow_id)

    world.deliver(reversed(world.mail()))
    world.work()

    assert Booking.objects.get(flow_id=flow_id).invitee_id in (first["invitee_id"], second["invitee_id"])
    assert BookingFlow.objects.count() == Booking.objects.count() == len(world.sessions()) == 2


# store-event while Calendly says no, or nothing.


def test_store_event_waits_about_two_seconds_for_calendly(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    booked = world.book(flow_id)
    world.calendly.room("faults", rates={"drop": 1, "slow_seconds": 4}, next=[{"method": "GET", "do": "slow"}])
    began = time.monotonic()

    answer = casey.store_event(flow_id, booked).json()

    assert 1.0 < time.monotonic() - began < 3.0
    assert (answer["nextAction"], answer["paymentUrl"]) == ("AWAIT_WEBHOOK", None)
    world.hear()
    assert Booking.objects.get().id == answer["bookingId"]
    assert Booking.objects.get().invitee_id == booked["invitee_id"]


def test_store_event_while_nobody_is_there_awaits_the_webhook(world: World, settings: Settings) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    booked = world.book(flow_id)
    settings.CALENDLY_API_BASE = "http://127.0.0.1:9"

    assert casey.store_event(flow_id, booked).json()["nextAction"] == "AWAIT_WEBHOOK"
    assert open_attention() == []


def test_a_token_that_calendly_does_not_know_is_said_to_the_client(world: World, settings: Settings) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    booked = world.book(flow_id)
    settings.CALENDLY_API_TOKEN = "another"

    answer = casey.store_event(flow_id, booked)

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "CALENDLY_API_ERROR")
    assert answer["Retry-After"]


def test_what_calendly_forbids_awaits_the_webhook_and_needs_a_person(world: World) -> None:
    casey = world.person()
    flow_id = casey.initiate()
    booked = world.book(flow_id)
    with responses.RequestsMock() as wire:
        refusal = {"title": "Permission Denied", "message": "You do not have permission to access this resource."}
        wire.get(f"{world.calendly.base}/scheduled_events/{booked['event_id']}", status=403, json=refusal)

        answer = casey.store_event(flow_id, booked)

    assert (answer.status_code, answer.json()["nextAction"]) == (200, "AWAIT_WEBHOOK")
    assert open_attention(flow_id) == ["PROVIDER_FORBIDDEN"]
    world.hear()
    assert Booking.objects.get().invitee_id == booked["invitee_id"]
    assert set(Delivery.objects.values_list("state", flat=True)) == {"processed"}
