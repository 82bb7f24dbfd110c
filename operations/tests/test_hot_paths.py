"""No hot path reads a whole table: `EXPLAIN` of the statements that the service itself sends, over 100,000 bookings.

The tables are filled by copying rows that the service made, in one transaction around all tests of this file.
"""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import responses
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bookings.attention import close_attention, raise_attention
from bookings.facts import AttentionKind, Outcome
from bookings.models import (
    Attention,
    Booking,
    BookingFlow,
    Client,
    Intent,
    RescheduleEdge,
    SessionType,
    TimelineEntry,
    UnplacedInvitee,
)
from bookings.tests.marketplace import HEARD, Caller, begun, caller, cancelled, heard, invitee, offer, opened, refunded
from bookings.tests.marketplace import paid as paid_for
from payments import acting, mirror, placing
from payments.checkouts import request_checkout
from payments.finding import flow_of_money
from payments.models import Checkout, MirrorMark, Payment, Refund
from payments.settlement import settled_flow
from payments.tasks import settle_due_flows
from webhooks import inbox
from webhooks.models import Delivery
from webhooks.tests.letters import letter_of, post, raw

pytestmark = pytest.mark.django_db

MANY = 100_000
"""Flows and bookings; of what hangs on them there is less, to save time."""
SOME, FEW = MANY // 2, 50
CLIENTS = MANY // 5
BIG = {
    model._meta.db_table
    for model in (
        *(Booking, Checkout, Payment, Refund, Intent, TimelineEntry, Attention, RescheduleEdge, UnplacedInvitee),
        *(Delivery, MirrorMark, BookingFlow, Client, User),
    )
}
"""Tables that grow with the business. The others (session types, builders, policies, permissions) may be read whole."""


class Town:
    """The full database, and in it one client with an open checkout, who has 5,000 other bookings, and one with few."""

    ann: Caller
    bob: Caller
    back_end: Caller
    session_type: SessionType
    booking: Booking
    bobs_booking: Booking


@pytest.fixture(scope="module")
def town(django_db_setup: None, django_db_blocker: Any) -> Iterator[Town]:
    with django_db_blocker.unblock():
        with transaction.atomic():
            yield _filled()
            transaction.set_rollback(True)
        with connection.cursor() as cursor:
            for table in sorted(BIG):
                cursor.execute(f"VACUUM {table}")  # what was rolled back lies about as dead rows


@pytest.fixture(autouse=True)
def _not_to_be_committed(town: Town, db: None) -> Iterator[None]:
    yield
    transaction.set_rollback(True)  # else the foreign keys of all that was copied are checked after each test


def _filled() -> Town:
    town = Town()
    town.ann, town.bob = caller("ann@example.com"), caller("bob@example.com")
    town.back_end = caller("shop@example.com", back_end=True)
    town.session_type = offer()
    _copy_everything(town)
    town.booking = heard(begun(town.ann, town.session_type), "INV-ANN")
    opened(town.booking, "cs_ann")
    town.bobs_booking = heard(begun(town.bob, town.session_type), "INV-BOB")
    with connection.cursor() as cursor:
        for table in sorted(BIG):
            cursor.execute(f"ANALYZE {table}")
    return town


def _copy_everything(town: Town) -> None:
    """A year of business, copied from one booking that was rescheduled, paid, cancelled and refunded."""
    flow = begun(town.ann, town.session_type)
    heard(flow, "OLD", cancellation=cancelled(), rescheduled=True, new_invitee_id="NEW", new_event_id="EV-NEW")
    booking = heard(flow, "NEW", old_invitee_id="OLD", old_event_id="EV-OLD")
    checkout = opened(booking, "cs_0")
    paid_for(booking, "cs_0", "pi_0")
    heard(flow, "NEW", cancellation=cancelled())
    refunded(booking, 12_000, "pi_0", "re_0")
    flow.refresh_from_db()
    booking.refresh_from_db()
    checkout.refresh_from_db()
    payment = Payment.objects.get(pk="pi_0")
    intent = Intent.objects.filter(flow=flow).exclude(outcome=Outcome.OPEN).first()
    assert flow.client
    assert intent
    assert post("stripe", raw(letter_of("stripe"))).status_code == 200
    delivery = Delivery.objects.get()
    attention = Attention.objects.create(kind=AttentionKind.UNPAID_SESSION, object_id="0", closed_at=timezone.now())
    mark = MirrorMark.objects.create(object_id="0", kind="charge", seen_at=timezone.now())
    ago = "now() - n * interval '5 minutes'"

    _copies(town.bob.user, CLIENTS, username="'user' || n", email="'user' || n || '@example.com'")
    users = "(SELECT id FROM auth_user WHERE username = 'user' || n)"
    _copies(flow.client, CLIENTS, id="'cl_' || n", user_id=users, email="'user' || n || '@example.com'")
    owner = f"CASE WHEN mod(n, 20) = 0 THEN '{flow.client.id}' ELSE 'cl_' || (mod(n, {CLIENTS}) + 1) END"
    ended = {"decision_row": "''", "decision_at": "NULL", "decision_percent": "NULL"}
    _copies(flow, MANY, id="'bf_' || n", client_id=owner, created_at=ago, wake_at="NULL", **ended)
    names = {"flow_id": "'bf_' || n", "invitee_id": "'INV' || n", "event_id": "'EV' || n", "created_at": ago}
    statuses = "(ARRAY['COMPLETED', 'COMPLETED', 'CANCELLED', 'CONFIRMED', 'RESCHEDULED'])[mod(n, 5) + 1]"
    _copies(booking, MANY, id="'bk_' || n", email="'user' || n || '@example.com'", status=statuses, **names)
    _copies(RescheduleEdge.objects.get(), SOME, flow_id="'bf_' || n", new_invitee_id="'INV' || n")
    _copies(intent, SOME, id="'it_' || n", flow_id="'bf_' || n", booking_id="'bk_' || n", target="'x' || n")
    own = {"flow_id": "'bf_' || n", "intent_id": "'it_' || n"}
    _copies(checkout, SOME, session_id="'cs_' || n", payment_intent_id="'pi_' || n", **own)
    _copies(payment, SOME, payment_intent_id="'pi_' || n", charge_id="'ch_' || n", recorded_at=ago, **own)
    _copies(Refund.objects.get(), SOME, refund_id="'re_' || n", payment_id="'pi_' || n", intent_id="NULL")
    _copies(TimelineEntry.objects.filter(flow=flow).first(), SOME, flow_id="'bf_' || n")
    _copies(delivery, SOME, id="'stripe:' || n", state="'processed'", flow_id="'bf_' || n", received_at=ago)
    _copies(attention, CLIENTS, object_id="'x' || n", flow_id="'bf_' || n", opened_at=ago)
    _copies(mark, CLIENTS, object_id="'x' || n", seen_at=ago)
    # What is due today is little.
    few = {"booking_id": "NULL", "kind": "'read_payment'", "outcome": "'open'", "closed_at": "NULL", "next_at": ago}
    _copies(intent, FEW, id="'it_due_' || n", flow_id="'bf_' || n", target="'due' || n", **few)
    _copies(delivery, FEW, id="'stripe:due' || n", state="'due'", received_at=ago, next_at=ago)
    _copies(attention, FEW, object_id="'open' || n", flow_id="NULL", closed_at="NULL", opened_at=ago)
    _copies(mark, FEW, object_id="'stale' || n", seen_at=ago, stale="true")
    _copies(flow, FEW, id="'bf_due_' || n", created_at=ago, wake_at=ago)
    unplaced = UnplacedInvitee.objects.create(pk="0", event_id="EV", next_at=timezone.now() + timedelta(days=1))
    _copies(unplaced, CLIENTS, invitee_id="'U' || n", next_at="now() + n * interval '1 minute'")


def _copies(row: Model | None, times: int, **columns: str) -> None:
    """Copy a row, with other values in some columns: SQL, in which `n` counts from 1."""
    assert row
    meta = row._meta
    assert meta.pk
    names = [field.column for field in meta.concrete_fields if field.column in columns or not field.primary_key]
    told = ", ".join(columns.get(str(name), f't."{name}"') for name in names)
    into = ", ".join(f'"{name}"' for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {meta.db_table} ({into}) SELECT {told} FROM {meta.db_table} t, generate_series(1, %s) n"  # noqa: S608
            f' WHERE t."{meta.pk.column}" = %s',
            [times, row.pk],
        )


def _status(one: Caller, town: Town) -> Any:
    return one.get(f"/api/scheduling/calendly/booking-status/{town.booking.id}")


def _store_event(town: Town) -> Any:
    uri = "https://api.calendly.com/scheduled_events/EV-X"
    uris = {"calendlyEventUri": uri, "calendlyInviteeUri": f"{uri}/invitees/INV-X"}
    with responses.RequestsMock() as wire:
        wire.get(uri, status=404, json={"title": "No", "message": "No"})
        return town.bob.post(
            "/api/scheduling/calendly/store-event", {"bookingFlowId": town.bobs_booking.flow_id, **uris}
        )


def _initiate(town: Town) -> Any:
    body = {"sessionTypeId": town.session_type.id, "builderProfileId": town.session_type.builder_id}
    return town.bob.post("/api/scheduling/calendly/initiate-booking", body)


def _later_page(town: Town) -> Any:
    return town.ann.http.get(town.ann.get("/api/scheduling/bookings").json()["next"])


def _page(one: Caller, **query: str) -> Any:
    return one.get("/api/scheduling/bookings", **query)


def _settle(town: Town) -> None:
    with settled_flow(town.booking.flow_id, HEARD):
        pass


def _look_for_money(_town: Town) -> None:
    unknown = {"session_id": "cs_x", "payment_intent_id": "pi_x", "charge_id": "ch_x", "booking_id": "bk_x"}
    assert flow_of_money({"intent": "it_x", "bookingId": "bk_y", "flowId": "bf_x"}, **unknown) is None


def _place(town: Town) -> None:
    """An invitee of whom nothing is known, through every way of finding its flow."""
    stranger = invitee(town.session_type, "INV-X", email="user7@example.com", old_invitee_id="INV-Y", flow_id="bf_x")
    assert placing._flow_of_chain(stranger) is None
    assert placing._offered_flows(stranger, town.session_type) == []
    placing._pending_flows(stranger, town.session_type)
    placing._keep_unplaced(stranger)


def _book_directly(town: Town) -> None:
    placing._direct_flow(invitee(town.session_type, email="user7@example.com"), town.session_type)


def _attention(_town: Town) -> None:
    with pytest.raises(SystemExit):
        call_command("attention", stdout=StringIO())
    raise_attention(AttentionKind.DELIVERY_PARKED, "x")
    close_attention(AttentionKind.DELIVERY_PARKED, "x")


HOT: dict[str, Any] = {
    "booking-status of a client": lambda town: _status(town.ann, town),
    "booking-status of the back end": lambda town: _status(town.back_end, town),
    "own bookings, many": lambda town: _page(town.ann),
    "own bookings, many, the next page": _later_page,
    "own bookings, few": lambda town: _page(town.bob),
    "own bookings by status": lambda town: _page(town.bob, status="CONFIRMED"),
    "everybody's bookings": lambda town: _page(town.back_end),
    "everybody's bookings by status": lambda town: _page(town.back_end, status="PENDING"),
    "one booking": lambda town: town.ann.get(f"/api/scheduling/bookings/{town.booking.id}"),
    "session types": lambda town: town.ann.get("/api/scheduling/session-types"),
    "initiate-booking": _initiate,
    "store-event": _store_event,
    "session-status": lambda town: town.back_end.get("/api/stripe/session-status/cs_7"),
    "create-checkout-session": lambda town: request_checkout(town.booking, HEARD),
    "the pay page": lambda town: Caller().get(f"/pay/{town.booking.id}"),
    "a webhook of Calendly's": lambda town: post("calendly", raw(letter_of("calendly"))),
    "a webhook of Stripe's": lambda town: post("stripe", raw(letter_of("stripe"))),
    "due deliveries": lambda town: inbox.due_deliveries(timezone.now(), 200),
    "due intents": lambda town: acting.due_intents(timezone.now(), 200),
    "due flows": lambda town: settle_due_flows(),
    "due unplaced invitees": lambda town: placing.due_unplaced(timezone.now(), 200),
    "stale copies of Stripe's objects": lambda town: list(mirror.stale_objects()[:20]),
    "claiming an intent": lambda town: acting.claim("it_due_7"),
    "settling a flow": _settle,
    "the flow of money": _look_for_money,
    "the flow of an invitee": _place,
    "the client of a direct booking": _book_directly,
    "open attentions": _attention,
}


@pytest.mark.parametrize("run", HOT.values(), ids=HOT)
def test_a_hot_path_reads_no_table_from_end_to_end(town: Town, run: Callable[[Town], Any]):
    with CaptureQueriesContext(connection) as queries:
        answer = run(town)
    assert getattr(answer, "status_code", 200) == 200, answer.content
    sent = [query["sql"] for query in queries.captured_queries]
    plans = {sql: _plan(sql) for sql in sent if sql.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE")}
    assert plans
    for sql, plan in plans.items():
        for node in _nodes(plan):
            whole = node["Node Type"] == "Seq Scan" and node["Relation Name"] in BIG
            assert not whole, f"{node['Relation Name']} is read whole by\n{sql}\n{json.dumps(plan, indent=1)}"


def _plan(sql: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", None)
        plan: dict[str, Any] = cursor.fetchone()[0][0]["Plan"]
    return plan


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from _nodes(inner)


def test_a_statement_without_an_index_would_be_seen(town: Town):
    plan = _plan(str(Booking.objects.filter(phone="1").query).replace("= 1", "= '1'"))
    assert [node["Relation Name"] for node in _nodes(plan) if node["Node Type"] == "Seq Scan"] == ["bookings_booking"]
