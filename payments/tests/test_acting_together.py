"""Several workers on one call, with real transactions: one of them makes it, and what it stands on is committed."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

import pytest
from django.db import OperationalError, connection

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
    hear,
    invitee_seen,
    jobs,
    opening,
    session_json,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clock")]
OPEN = "POST /v1/checkout/sessions"
OTHERS = ThreadPoolExecutor(max_workers=4)
Result = TypeVar("Result")


def elsewhere(does: Callable[[], Result]) -> "Future[Result]":
    """Do this in a thread with a database connection of its own."""

    def with_own_connection() -> Result:
        try:
            return does()
        finally:
            connection.close()

    return OTHERS.submit(with_own_connection)


def wait_until_blocked(number: int = 1) -> None:
    """Return when so many others wait for a lock of ours."""
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0] >= number:
                return
        Event().wait(0.01)
    pytest.fail("nobody waits for a lock")


def end_other_connections() -> None:
    """As when PostgreSQL is restarted."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")  # noqa: S608  # ours


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


def test_a_worker_that_was_slower_than_its_lease_changes_nothing_by_its_answer(wire, flow, clock):
    intent = opening(flow)

    def slowly():
        clock.shift(acting.LEASE)
        elsewhere(lambda: acting.act(intent.id)).result(10)
        assert opening(flow).outcome == Outcome.DONE
        return session_json(intent)

    wire.answers(OPEN, slowly, session_json(intent))
    acting.act(intent.id)
    assert [call.key for call in wire.calls] == [intent.id] * 2
    assert Checkout.objects.count() == 1
    assert opening(flow).closed_at == T0 + acting.LEASE


def test_an_answer_that_could_not_be_written_down_is_asked_for_again(wire, flow, clock):
    intent = opening(flow)

    def while_the_database_goes():
        elsewhere(end_other_connections).result(10)
        return session_json(intent)

    wire.answers(OPEN, while_the_database_goes, session_json(intent))
    with pytest.raises(OperationalError):
        acting.act(intent.id)
    connection.close()
    assert Checkout.objects.count() == 0
    clock.shift(acting.LEASE)
    acting.act(intent.id)
    assert [call.key for call in wire.calls] == [intent.id] * 2
    assert opening(flow).outcome == Outcome.DONE


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
