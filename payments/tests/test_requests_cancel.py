"""Staff end a booking for a client, with what percentage or sum they choose."""

import pytest

from api.errors import BookingConflict, Forbidden, InvalidRequest, RefundFailed
from bookings.facts import BookingStatus, IntentKind, Outcome, Party, PaymentStatus, RefundStatus
from bookings.ids import intent_id
from bookings.models import Intent
from bookings.staff import CANCEL_BOOKING, ISSUE_REFUND
from payments.records import record_refund
from payments.refunding import request_refund, request_refund_and_cancel
from payments.requests import request_staff_cancel
from payments.settlement import settled_flow
from payments.tests.rows import (
    DAY,
    HEARD,
    HOUR,
    MINUTE,
    PRICE,
    START,
    T0,
    cancelled_json,
    event_json,
    hear,
    invitee_seen,
    refund_json,
    refund_seen,
    refunded,
)
from payments.tests.staff import attentions, now, paid_flow, reason_of, said, staff
from payments.tests.wire import Failure

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
REFUND = "POST /v1/refunds"


@pytest.fixture
def providers(wire):
    """Both do as they are told."""
    wire.answers("GET /scheduled_events/EV-A", event_json())
    wire.answers("POST /scheduled_events/EV-A/cancellation", {})
    wire.answers("GET /scheduled_events/EV-A/invitees/A", lambda: cancelled_json("A", T0, by="host"))
    wire.answers(REFUND, the_refund)
    return wire


def the_refund():
    """Stripe makes the refund that is under way."""
    intent = Intent.objects.filter(kind=IntentKind.REFUND, outcome=Outcome.OPEN).latest("lease_until")
    return refund_json(intent.amount_minor, intent=intent, id=f"re_{intent.id[-4:]}")


def sue():
    return staff(CANCEL_BOOKING, ISSUE_REFUND)


def cancel(flow, by=None, **asked):
    return request_staff_cancel(flow.bookings.get(), by or sue(), **{"reason": "The builder is ill", **asked})


def refund_and_cancel(flow, payment, amount, by=None, **asked):
    asked = {"reason": "A bad hour", "token": intent_id(), **asked}
    return request_refund_and_cancel(flow.bookings.get(), payment, amount, by or sue(), **asked)


def refunds_of(flow):
    rows = Intent.objects.filter(flow=flow, kind=IntentKind.REFUND).order_by("created_at", "pk")
    return [(row.amount_minor, row.why) for row in rows]


def decision(flow):
    flow.refresh_from_db()
    return flow.decision_row, flow.decision_percent, flow.decision_by


def test_cancelling_needs_its_permission(wire):
    flow, _ = paid_flow()
    for percent, other in ((None, staff(ISSUE_REFUND, name="ida")), (100, staff(CANCEL_BOOKING, name="tom"))):
        with pytest.raises(Forbidden):
            cancel(flow, other, percent=percent)
    assert (decision(flow), wire.calls) == (("", None, ""), [])


def test_the_policy_needs_no_permission_to_refund(providers, clock):
    flow, _ = paid_flow()
    clock.move_to(START - 13 * HOUR)
    ended = cancel(flow, staff(CANCEL_BOOKING, name="tom"))
    assert (ended.status, ended.refund_status) == ("CANCELLED", RefundStatus.COMPLETED)
    assert (decision(flow), refunds_of(flow)) == (("D1", 50, Party.STAFF), [(6_000, "D1")])
    assert said(flow)[0][0] == "Cancel asked by staff: The builder is ill"


@pytest.mark.parametrize(("percent", "back"), [(0, []), (30, [(3_600, "D1")]), (100, [(PRICE, "D1")])])
def test_staff_choose_the_percentage(providers, percent, back):
    flow, _ = paid_flow()
    cancel(flow, percent=percent)
    assert (decision(flow), refunds_of(flow)) == (("D1", percent, Party.STAFF), back)
    assert now(flow)[1] == BookingStatus.CANCELLED


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_percentage_is_one(percent):
    flow, _ = paid_flow()
    with pytest.raises(InvalidRequest):
        cancel(flow, percent=percent)
    assert decision(flow) == ("", None, "")


def test_a_cancel_is_no_way_around_the_second_person(providers, settings, clock):
    """More than the policy gives is a gift; one above the limit is asked for as a refund."""
    settings.REFUND_APPROVAL_ABOVE = {"USD": 6_000}
    flow, _ = paid_flow()
    clock.move_to(START - HOUR)
    with pytest.raises(BookingConflict) as refusal:
        cancel(flow, percent=51)
    assert (reason_of(refusal), decision(flow), refunds_of(flow)) == ("needs approval", ("", None, ""), [])
    cancel(flow, percent=50)
    assert refunds_of(flow) == [(6_000, "D1")]


def test_what_the_policy_gives_needs_no_second_person(providers, settings):
    settings.REFUND_APPROVAL_ABOVE = {"USD": 0}
    flow, _ = paid_flow()
    cancel(flow, percent=100)
    assert refunds_of(flow) == [(PRICE, "D1")]


def test_cancelling_twice_is_cancelling_once(providers):
    """R30: whatever the second asks for."""
    flow, _ = paid_flow()
    first = cancel(flow, percent=50)
    calls = len(providers.calls)
    assert cancel(flow, staff(CANCEL_BOOKING, ISSUE_REFUND, name="tom"), percent=100) == first
    assert (len(providers.calls), decision(flow)) == (calls, ("D1", 50, Party.STAFF))


def test_cancelling_again_tells_of_a_refund_that_failed(providers):
    flow, _ = paid_flow()
    providers.answers(REFUND, Failure(400, "No.", "card_declined"))
    assert cancel(flow).refund_status is RefundStatus.FAILED
    with pytest.raises(RefundFailed):
        cancel(flow)


def test_after_the_start_it_is_too_late(clock):
    """R34."""
    flow, payment = paid_flow()
    clock.move_to(START)
    with pytest.raises(BookingConflict) as refusal:
        cancel(flow)
    assert reason_of(refusal) == "started"
    with pytest.raises(BookingConflict) as refusal:
        refund_and_cancel(flow, payment, 1_000)
    assert (reason_of(refusal), refunds_of(flow)) == ("started", [])


def test_a_booking_refunded_in_full_in_the_dashboard_stays_until_staff_cancel(providers):
    """R12."""
    flow, _ = paid_flow()
    refunded(flow, PRICE)
    assert now(flow) == (PaymentStatus.REFUNDED, BookingStatus.CONFIRMED)
    assert attentions(flow) == ["EXTERNAL_FULL_REFUND"]
    cancel(flow, percent=100)
    assert (now(flow)[1], refunds_of(flow), attentions(flow)) == (BookingStatus.CANCELLED, [], [])


def test_a_dashboard_refund_counts_into_what_a_cancel_sends(providers):
    """R12: 50 % after 30 of 100 went out sends 20."""
    flow, _ = paid_flow()
    refunded(flow, 3_600, id="re_dashboard")
    cancel(flow, percent=50)
    assert refunds_of(flow) == [(2_400, "D1")]


def test_a_chosen_sum_goes_back_with_the_cancel(providers):
    flow, payment = paid_flow()
    refund_and_cancel(flow, payment, 5_000)
    assert (decision(flow), refunds_of(flow)) == (("D1", 0, Party.STAFF), [(5_000, "staff")])
    assert now(flow) == (PaymentStatus.PARTIALLY_REFUNDED, BookingStatus.CANCELLED)


def test_refund_and_cancel_needs_both_permissions():
    flow, payment = paid_flow()
    for only_one in (staff(CANCEL_BOOKING, name="tom"), staff(ISSUE_REFUND, name="ida")):
        with pytest.raises(Forbidden):
            refund_and_cancel(flow, payment, 5_000, only_one)
    assert (decision(flow), refunds_of(flow)) == (("", None, ""), [])


def test_without_the_refund_there_is_no_cancel(wire):
    flow, payment = paid_flow()
    with pytest.raises(BookingConflict) as refusal:
        refund_and_cancel(flow, payment, PRICE + 1)
    assert refusal.value.details == {"reason": "more than left", "left": PRICE}
    assert (decision(flow), refunds_of(flow), wire.calls) == (("", None, ""), [], [])


def test_two_clicks_on_refund_and_cancel_are_one(providers):
    flow, payment = paid_flow()
    token = intent_id()
    first = refund_and_cancel(flow, payment, 5_000, token=token)
    assert refund_and_cancel(flow, payment, 5_000, token=token) == first
    assert refunds_of(flow) == [(5_000, "staff")]
    assert len(providers.made(REFUND)) == 1


def test_refund_and_cancel_after_somebody_elses_cancel_is_refused(providers):
    flow, payment = paid_flow()
    cancel(flow, percent=0)
    with pytest.raises(BookingConflict) as refusal:
        refund_and_cancel(flow, payment, 5_000)
    assert (reason_of(refusal), refunds_of(flow)) == ("ended", [])


def test_above_the_limit_the_cancel_happens_and_the_refund_waits(providers, settings):
    settings.REFUND_APPROVAL_ABOVE = {"USD": 0}
    flow, payment = paid_flow()
    assert refund_and_cancel(flow, payment, 5_000).refund_status is RefundStatus.PENDING
    assert (now(flow)[1], len(providers.made(REFUND))) == (BookingStatus.CANCELLED, 0)


def test_a_rescheduled_booking_is_not_the_one_to_cancel():
    flow, _ = paid_flow()
    hear(flow, invitee_seen(invitee_id="B", old="A", start=START + DAY))
    old, new = (flow.bookings.get(invitee_id=one) for one in "AB")
    with pytest.raises(BookingConflict) as refusal:
        request_staff_cancel(old, sue(), reason="Ill")
    assert refusal.value.details == {"reason": "rescheduled", "rescheduledTo": new.id}


def test_a_refund_that_fails_after_the_cancel_is_sent_again_by_staff(providers, clock):
    """R13."""
    flow, payment = paid_flow()
    cancel(flow, percent=100)
    failed = Intent.objects.get(flow=flow, kind=IntentKind.REFUND)
    clock.shift(MINUTE)
    with settled_flow(flow.id, HEARD) as locked:
        record_refund(locked, refund_seen(PRICE, "failed", failed, id=failed.refund.refund_id))
    assert (now(flow), attentions(flow)) == ((PaymentStatus.PAID, BookingStatus.CANCELLED), ["REFUND_FAILED"])
    request_refund(payment, PRICE, sue(), reason="Again", token=intent_id(), replaces=failed.id)
    assert (refunds_of(flow), attentions(flow)) == ([(PRICE, "D1"), (PRICE, "staff")], [])
