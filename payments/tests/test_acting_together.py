"""Several workers on one call, with real transactions: one of them makes it, and what it stands on is committed."""

import pytest
from django.db import connection

from bookings.facts import IntentKind, Outcome
from bookings.models import BookingFlow, Intent
from payments import acting
from payments.models import Checkout
from payments.settlement import settled_flow
from payments.tests.rows import (
    ASKED,
    MINUTE,
    T0,
    begun,
    booked,
    elsewhere,
    hear,
    invitee_seen,
    jobs,
    opening,
    session_json,
    wait_until_blocked,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clock")]
OPEN = "POST /v1/checkout/sessions"


@pytest.fixture
def flow() -> BookingFlow:
    return booked()


def test_the_claim_is_committed_before_the_call_and_holds_the_others_off(wire, flow):
    intent = opening(flow)

    def while_it_is_made():
        assert not connection.in_atomic_block
        seen = elsewhere(lambda: Intent.objects.get(pk=intent.pk)).result(10)
        assert (seen.started_at, seen.lease_until) == (T0, T0 + acting.LEASE)
        elsewhere(lambda: acting.act(intent.id)).result(10)
        return session_json(intent)

    wire.answers(OPEN, while_it_is_made)
    acting.act(intent.id)
    assert len(wire.calls) == 1
    assert Checkout.objects.get().intent == intent


def test_of_many_workers_that_claim_at_once_one_makes_the_call(wire, flow):
    intent = opening(flow)
    wire.answers(OPEN, session_json(intent))
    with settled_flow(flow.id, ASKED):  # keeps them all waiting for the flow's lock
        workers = [elsewhere(lambda: acting.act(intent.id)) for _ in range(4)]
        wait_until_blocked(4)
    for worker in workers:
        worker.result(20)
    assert len(wire.calls) == 1
    assert opening(flow).outcome == Outcome.DONE


def test_a_claim_that_waited_for_the_lock_asks_again_whether_the_call_is_wanted(wire, flow):
    intent = opening(flow)
    with settled_flow(flow.id, ASKED) as locked:
        worker = elsewhere(lambda: acting.act(intent.id))
        wait_until_blocked()
        locked.row.waived_at = locked.now
        locked.save(locked.row, "Waived")
    worker.result(20)
    assert wire.calls == []
    assert opening(flow).outcome == Outcome.WITHDRAWN


def test_a_worker_that_dies_leaves_a_lease_that_runs_out(wire, flow, clock):
    intent = opening(flow)
    wire.answers(OPEN, SystemExit(9), session_json(intent))
    with pytest.raises(SystemExit):
        acting.act(intent.id)
    assert not connection.in_atomic_block
    assert elsewhere(lambda: acting.due_intents(T0 + MINUTE, 10)).result(10) == []
    clock.shift(acting.LEASE)
    workers = [elsewhere(lambda: acting.act(intent.id)) for _ in range(2)]
    for worker in workers:
        worker.result(20)
    assert [call.key for call in wire.calls] == [intent.id] * 2


def test_two_flows_do_not_wait_for_each_other(wire, flow):
    other = begun(flow.session_type)
    hear(other, invitee_seen(invitee_id="B"))
    wire.answers(OPEN, session_json(opening(other)))
    with settled_flow(flow.id, ASKED):
        elsewhere(lambda: acting.act(opening(other).id)).result(10)
    assert Checkout.objects.get().flow_id == other.id


def test_a_job_is_there_for_the_worker_once_its_row_is(flow):
    with settled_flow(flow.id, ASKED) as locked:
        locked.row.cancel_asked_at, locked.row.cancel_asked_by = locked.now, "staff"
        locked.save(locked.row)
        before = elsewhere(jobs).result(10)
    after = elsewhere(jobs).result(10)
    cancel = Intent.objects.get(kind=IntentKind.CANCEL_EVENT)
    assert after == [*before, ("payments.act", {"intent_id": cancel.id})]
