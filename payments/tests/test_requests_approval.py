"""The second person: above the limit a refund is reserved, and goes out when somebody else approves it."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from api.errors import BookingConflict, Forbidden, InvalidRequest
from bookings.facts import AttentionKind, Outcome
from bookings.ids import intent_id
from bookings.models import Intent
from bookings.staff import APPROVE_REFUND, ISSUE_REFUND, RESOLVE_PAYMENT, Staff
from payments import acting
from payments.models import Payment
from payments.records import record_dispute, record_refund
from payments.refunding import approve_refund, refuse_refund, request_refund, request_return
from payments.settlement import settled_flow
from payments.tests.rows import (
    HEARD,
    PRICE,
    ask_to_cancel,
    dispute_seen,
    forget_jobs,
    jobs,
    only,
    refund_json,
    refund_seen,
    staff_refund,
)
from payments.tests.staff import attentions, mismatched_flow, paid_flow, reason_of, said, staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
LIMIT = 5_000


@pytest.fixture(autouse=True)
def _limit(settings):
    settings.REFUND_APPROVAL_ABOVE = {"USD": LIMIT}


def sue():
    """Who asks."""
    return staff(ISSUE_REFUND, APPROVE_REFUND)


def tom():
    """Who approves."""
    return staff(APPROVE_REFUND, name="tom")


def asked(payment, amount=LIMIT + 1, **fields):
    return request_refund(payment, amount, sue(), **{"reason": "Kindness", "token": intent_id(), **fields})


def acts():
    return [arguments["intent_id"] for task, arguments in jobs() if task == "payments.act"]


def refused(does, *args, **said_with):
    with pytest.raises(BookingConflict) as refusal:
        does(*args, **said_with)
    return reason_of(refusal)


@pytest.mark.parametrize(("amount", "waits"), [(LIMIT, False), (LIMIT + 1, True)])
def test_above_the_limit_a_second_person_is_needed(amount, waits):
    _, payment = paid_flow()
    intent = asked(payment, amount)
    assert (intent.needs_approval, intent.id in acts()) == (waits, not waits)
    assert (acting.claim(intent.id) is None) == waits


def test_an_unapproved_refund_is_reserved():
    _, payment = paid_flow()
    asked(payment)
    payment.refresh_from_db()
    assert payment.refund_intended_minor == LIMIT + 1
    assert refused(asked, payment, PRICE - LIMIT) == "more than left"


def test_returning_mismatched_money_needs_the_second_person_too():
    _, payment = mismatched_flow()
    intent = request_return(payment, staff(RESOLVE_PAYMENT), reason="Wrong sum", token=intent_id())
    assert intent.needs_approval


def test_an_approved_refund_goes_out(wire):
    flow, payment = paid_flow()
    intent = asked(payment)
    forget_jobs()
    approved = approve_refund(intent, tom())
    assert (approved.approved_by, acts()) == (tom().user, [intent.id])
    assert said(flow)[-1] == (f"Approved: a refund of {LIMIT + 1} USD (minor units)", tom().user.pk, "req-tom")
    wire.answers("POST /v1/refunds", refund_json(LIMIT + 1, intent=intent))
    acting.act(intent.id)
    payment.refresh_from_db()
    assert (only(flow, intent.kind).outcome, payment.refunds.get().amount_minor) == (Outcome.DONE, LIMIT + 1)


def test_approving_needs_its_permission():
    _, payment = paid_flow()
    intent = asked(payment)
    with pytest.raises(Forbidden):
        approve_refund(intent, staff(ISSUE_REFUND, name="ida"))
    assert acting.claim(intent.id) is None


def test_nobody_approves_what_they_asked_for():
    _, payment = paid_flow()
    intent = asked(payment)
    with pytest.raises(Forbidden):
        approve_refund(intent, sue())
    assert acting.claim(intent.id) is None


def test_a_superuser_does_not_either():
    _, payment = paid_flow()
    root = Staff(User.objects.create_superuser("root"), "req-root")
    intent = request_refund(payment, PRICE, root, reason="Kindness", token=intent_id())
    with pytest.raises(Forbidden):
        approve_refund(intent, root)
    with pytest.raises(IntegrityError), transaction.atomic():
        Intent.objects.filter(pk=intent.pk).update(approved_by=root.user)
    assert approve_refund(intent, tom()).approved_by == tom().user


def test_approving_twice_is_approving_once():
    flow, payment = paid_flow()
    intent = asked(payment)
    approve_refund(intent, tom())
    lines, waiting = len(said(flow)), acts()
    assert approve_refund(intent, staff(APPROVE_REFUND, name="uma")).approved_by == tom().user
    assert (len(said(flow)), acts()) == (lines, waiting)


def test_what_needs_no_approval_gets_none():
    flow, payment = paid_flow()
    assert refused(approve_refund, asked(payment, 1_000), tom()) == "not waiting"
    ask_to_cancel(flow)
    automatic = Intent.objects.get(flow=flow, why="D1", kind="refund")
    assert refused(approve_refund, automatic, tom()) == "not waiting"
    assert refused(refuse_refund, automatic, tom(), reason="No") == "not waiting"


def test_a_refused_refund_is_withdrawn_and_the_money_is_free_again():
    flow, payment = paid_flow()
    intent = asked(payment)
    refused_one = refuse_refund(intent, tom(), reason="Not agreed")
    assert (refused_one.outcome, refused_one.note) == (Outcome.WITHDRAWN, "Refused: Not agreed")
    assert said(flow)[-1] == ("refund: withdrawn: Refused: Not agreed", tom().user.pk, "req-tom")
    payment.refresh_from_db()
    assert payment.refund_intended_minor == 0
    assert asked(payment, PRICE).outcome == Outcome.OPEN


def test_refusing_twice_is_refusing_once():
    flow, payment = paid_flow()
    intent = asked(payment)
    refuse_refund(intent, tom(), reason="Not agreed")
    lines = len(said(flow))
    assert refuse_refund(intent, tom(), reason="Still not").note == "Refused: Not agreed"
    assert len(said(flow)) == lines


def test_refusing_needs_its_permission_and_a_reason():
    _, payment = paid_flow()
    intent = asked(payment)
    with pytest.raises(Forbidden):
        refuse_refund(intent, staff(ISSUE_REFUND, name="ida"), reason="No")
    with pytest.raises(InvalidRequest):
        refuse_refund(intent, tom(), reason=" ")
    intent.refresh_from_db()
    assert intent.outcome == Outcome.OPEN


def test_whoever_asked_may_take_it_back():
    _, payment = paid_flow()
    ida = staff(ISSUE_REFUND, name="ida")
    intent = request_refund(payment, PRICE, ida, reason="Kindness", token=intent_id())
    assert refuse_refund(intent, ida, reason="A slip").outcome == Outcome.WITHDRAWN


def test_what_was_approved_is_not_refused_and_what_was_refused_is_not_approved():
    _, payment = paid_flow()
    first, second = asked(payment), asked(payment, LIMIT + 2)
    approve_refund(first, tom())
    refuse_refund(second, tom(), reason="No")
    assert refused(refuse_refund, first, tom(), reason="No") == "not waiting"
    assert refused(approve_refund, second, tom()) == "not waiting"


def test_what_goes_back_by_itself_takes_the_place_of_what_nobody_approved():
    """LIFECYCLE 6: unapproved staff requests on that payment are withdrawn first."""
    flow, payment = paid_flow()
    intent = asked(payment)
    ask_to_cancel(flow)
    intent.refresh_from_db()
    assert intent.outcome == Outcome.WITHDRAWN
    assert refused(approve_refund, intent, tom()) == "not waiting"


def test_a_dispute_that_opens_ends_the_wait():
    """R15, R16: also where the refund was to end an inquiry that became formal."""
    flow, payment = paid_flow()
    with settled_flow(flow.id, HEARD) as locked:
        record_dispute(locked, dispute_seen("warning_needs_response", is_charge_refundable=True))
    intent = asked(payment, 1_000)
    with settled_flow(flow.id, HEARD) as locked:
        record_dispute(locked, dispute_seen("needs_response", is_charge_refundable=True))
    assert refused(approve_refund, intent, tom()) == "not waiting"


def test_an_approved_refund_ends_an_inquiry(wire):
    """R16."""
    flow, payment = paid_flow()
    with settled_flow(flow.id, HEARD) as locked:
        record_dispute(locked, dispute_seen("warning_needs_response", is_charge_refundable=True))
    intent = asked(payment, 1_000)
    approve_refund(intent, tom())
    wire.answers("POST /v1/refunds", refund_json(1_000, intent=intent))
    acting.act(intent.id)
    assert Payment.objects.get().refunds.get().amount_minor == 1_000


def test_a_refused_replacement_leaves_the_failed_refund_open():
    flow, payment = paid_flow()
    failed = staff_refund(flow, PRICE)
    with settled_flow(flow.id, HEARD) as locked:
        record_refund(locked, refund_seen(PRICE, "failed", failed))
    again = asked(payment, PRICE, replaces=failed.id)
    assert attentions(flow) == []
    refuse_refund(again, tom(), reason="No")
    assert attentions(flow) == [AttentionKind.REFUND_FAILED]
