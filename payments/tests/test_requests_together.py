"""Several staff at once, with real transactions: each sees what the one before left (R29, R30)."""

from functools import partial
from typing import Any

import pytest

from api.errors import ApiError
from bookings.facts import Outcome, PaymentStatus
from bookings.ids import intent_id
from bookings.models import Intent
from bookings.staff import APPROVE_REFUND, ISSUE_REFUND, RESOLVE_PAYMENT, WAIVE_PAYMENT
from payments.models import Payment
from payments.refunding import approve_refund, refuse_refund, request_refund, request_return
from payments.requests import request_accept, request_waive
from payments.tests.rows import PRICE, forget_jobs, jobs
from payments.tests.staff import at_once, mismatched_flow, now, paid_flow, reason_of, staff

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clock")]


def reserved():
    """What the refunds that stand come to."""
    return sum(Intent.objects.filter(kind="refund", outcome=Outcome.OPEN).values_list("amount_minor", flat=True))


def split(answers: list[Any]) -> tuple[list[Any], list[str]]:
    """What was done, and why the rest was refused."""
    return (
        [one for one in answers if not isinstance(one, ApiError)],
        [reason_of(one) for one in answers if isinstance(one, ApiError)],
    )


def test_twenty_partial_refunds_at_once_are_never_more_than_was_captured():
    _, payment = paid_flow()
    who = [staff(ISSUE_REFUND, name=f"staff {number}") for number in range(20)]
    asked = [partial(request_refund, payment, 1_000, one, reason="Kindness", token=intent_id()) for one in who]
    done, refusals = split(at_once(asked))
    assert (len(done), refusals) == (12, ["nothing left"] * 8)
    assert (reserved(), Payment.objects.get().refund_intended_minor) == (PRICE, PRICE)


def test_the_second_of_two_sees_what_is_left():
    """R29."""
    _, payment = paid_flow()
    sue, tom = staff(ISSUE_REFUND), staff(ISSUE_REFUND, name="tom")
    asked = [partial(request_refund, payment, 8_000, one, reason="Kindness", token=intent_id()) for one in (sue, tom)]
    done, refusals = split(at_once(asked))
    assert (len(done), refusals, reserved()) == (1, ["more than left"], 8_000)


def test_a_double_click_in_two_threads_is_one_refund():
    """R30."""
    forget_jobs()
    _, payment = paid_flow()
    before, sue, token = len(jobs()), staff(ISSUE_REFUND), intent_id()
    click = partial(request_refund, payment, 1_000, sue, reason="Kindness", token=token)
    done, refusals = split(at_once([click] * 4))
    assert ({one.id for one in done}, refusals, reserved()) == ({token}, [], 1_000)
    assert len(jobs()) == before + 1


def test_a_payment_is_accepted_or_returned_but_not_both():
    flow, payment = mismatched_flow()
    sue, tom = staff(RESOLVE_PAYMENT), staff(RESOLVE_PAYMENT, name="tom")
    accept = partial(request_accept, payment, sue, reason="Agreed")
    give_back = partial(request_return, payment, tom, reason="Wrong sum", token=intent_id())
    done, refusals = split(at_once([accept, give_back]))
    accepted = Payment.objects.get().accepted_at is not None
    assert (len(done), refusals) == (1, ["resolved" if accepted else "going back"])
    assert (now(flow)[0] == PaymentStatus.PAID) == accepted
    assert reserved() == (0 if accepted else 10_000)


def test_a_payment_is_accepted_or_waived_but_not_both():
    flow, payment = mismatched_flow()
    sue, tom = staff(RESOLVE_PAYMENT), staff(WAIVE_PAYMENT, name="tom")
    accept = partial(request_accept, payment, sue, reason="Agreed")
    waive = partial(request_waive, flow, tom, reason="A friend")
    done, refusals = split(at_once([accept, waive]))
    flow.refresh_from_db()
    assert (len(done), refusals) == (1, ["waived" if flow.waived_at else "paid"])


def test_a_refund_is_approved_or_refused_but_not_both(settings):
    settings.REFUND_APPROVAL_ABOVE = {"USD": 0}
    _, payment = paid_flow()
    intent = request_refund(payment, 1_000, staff(ISSUE_REFUND), reason="Kindness", token=intent_id())
    tom, uma = staff(APPROVE_REFUND, name="tom"), staff(APPROVE_REFUND, name="uma")
    approve, refuse = partial(approve_refund, intent, tom), partial(refuse_refund, intent, uma, reason="No")
    done, refusals = split(at_once([approve, refuse]))
    intent.refresh_from_db()
    assert (len(done), refusals) == (1, ["not waiting"])
    assert (intent.approved_at is None) == (intent.outcome == Outcome.WITHDRAWN)
