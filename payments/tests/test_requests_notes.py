"""What staff note: whose a direct booking is, who did not come, what was looked at."""

import pytest

from api.errors import BookingConflict, Forbidden, InvalidRequest
from bookings.attention import raise_attention
from bookings.facts import AttentionKind, BookingStatus
from bookings.flows import begin_flow
from bookings.models import Attention, BookingFlow, Client
from bookings.records import record_no_show
from bookings.staff import LINK_BOOKING, NOTE_NO_SHOW, RESOLVE_ATTENTION
from payments.requests import request_link, request_no_show, request_resolve
from payments.settlement import settled_flow
from payments.tests.rows import (
    DAY,
    HOUR,
    MINUTE,
    START,
    T0,
    TOLD,
    ann,
    booked,
    hear,
    invitee_seen,
    offer,
    time_passes,
)
from payments.tests.staff import attentions, mismatched_flow, now, reason_of, said, staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def refused(does, *args, **asked):
    with pytest.raises(BookingConflict) as refusal:
        does(*args, **asked)
    return reason_of(refusal)


# Whose a direct booking is.


@pytest.fixture
def direct() -> BookingFlow:
    """Booked straight on Calendly, free of charge (R40)."""
    flow = begin_flow(offer(price=0), None, now=T0, direct=True)
    hear(flow, invitee_seen())
    return flow


def link(flow, client, by=None):
    request_link(flow, client, by or staff(LINK_BOOKING), reason="She called")


def test_a_direct_booking_is_linked_to_a_client(direct):
    assert attentions(direct) == [AttentionKind.DIRECT_BOOKING]
    link(direct, ann())
    direct.refresh_from_db()
    assert (direct.client, attentions(direct)) == (ann(), [])
    assert said(direct)[0] == ("Linked by staff to Ann: She called", staff().user.pk, "req-sue")


def test_linking_needs_its_permission(direct):
    with pytest.raises(Forbidden):
        link(direct, ann(), staff(NOTE_NO_SHOW, name="tom"))
    direct.refresh_from_db()
    assert direct.client is None


def test_linking_twice_is_linking_once(direct):
    link(direct, ann())
    lines = said(direct)
    link(direct, ann())
    assert said(direct) == lines


def test_a_booking_that_is_somebodys_stays_theirs(direct):
    bob = Client.objects.create(name="Bob")
    link(direct, ann())
    assert refused(link, direct, bob) == "linked"
    assert refused(link, begin_flow(offer(event_type_id="ET2"), ann(), now=T0), bob) == "linked"
    direct.refresh_from_db()
    assert direct.client == ann()


# Who did not come.


def no_show(flow, by=None, *, no_show=True):
    return request_no_show(flow.bookings.first(), by or staff(NOTE_NO_SHOW), no_show=no_show, reason="Nobody there")


def test_a_no_show_is_noted_and_taken_back(clock):
    flow = booked(price=0)
    clock.move_to(START + MINUTE)
    assert no_show(flow).no_show
    assert flow.bookings.get().no_show
    assert said(flow)[-1][0] == "Noted by staff: the client did not come: Nobody there"
    assert not no_show(flow, no_show=False).no_show
    assert not flow.bookings.get().no_show


def test_noting_it_twice_is_noting_it_once(clock):
    flow = booked(price=0)
    clock.move_to(START + MINUTE)
    no_show(flow)
    lines = said(flow)
    no_show(flow)
    assert said(flow) == lines


def test_noting_a_no_show_needs_its_permission(clock):
    flow = booked(price=0)
    clock.move_to(START + MINUTE)
    with pytest.raises(Forbidden):
        no_show(flow, staff(LINK_BOOKING, name="tom"))
    assert not flow.bookings.get().no_show


def test_nobody_is_missing_before_the_start(clock):
    flow = booked(price=0)
    clock.move_to(START - MINUTE)
    assert refused(no_show, flow) == "not started"


def test_nobody_is_missing_from_a_booking_that_was_given_up(clock):
    flow = booked(price=0)
    hear(flow, invitee_seen(invitee_id="B", old="A", start=START + DAY))
    clock.move_to(START + MINUTE)
    old = flow.bookings.get(invitee_id="A")
    assert refused(request_no_show, old, staff(NOTE_NO_SHOW), no_show=True, reason="Nobody") == "rescheduled"


@pytest.mark.parametrize(("after", "stands"), [(-HOUR, True), (HOUR, False)])
def test_the_last_word_counts(clock, after, stands):
    """Of staff's and Calendly's (LIFECYCLE 3: the latest)."""
    flow = booked(price=0)
    clock.move_to(START + DAY)
    no_show(flow)
    with settled_flow(flow.id, TOLD) as locked:
        record_no_show(locked, "A", no_show=False, at=START + DAY + after)
    assert flow.bookings.get().no_show == stands


def test_a_no_show_changes_no_status(clock):
    flow = booked(price=0)
    clock.move_to(START + DAY)
    no_show(flow)
    assert now(flow)[1] == BookingStatus.COMPLETED


# What was looked at.


def resolve(attention, by=None, note="Called the client"):
    return request_resolve(attention, by or staff(RESOLVE_ATTENTION), note=note)


def the_attention() -> Attention:
    return Attention.objects.get()


def test_a_resolved_attention_is_not_raised_again(clock):
    flow, _ = mismatched_flow()
    row = resolve(the_attention())
    assert (row.closed_at, row.resolved_by, row.note) == (T0, staff().user, "Called the client")
    assert said(flow)[-1][0] == "Resolved by staff: AMOUNT_MISMATCH: Called the client"
    clock.shift(MINUTE)
    time_passes(flow)
    assert (attentions(flow), Attention.objects.count()) == ([], 1)


def test_an_attention_is_resolved_once():
    flow, _ = mismatched_flow()
    resolve(the_attention())
    lines = said(flow)
    again = resolve(the_attention(), staff(RESOLVE_ATTENTION, name="tom"), "I did too")
    assert (again.resolved_by, again.note, said(flow)) == (staff().user, "Called the client", lines)


def test_what_no_longer_holds_is_closed_by_itself_and_not_by_staff(clock):
    """Its time had passed, and nobody had looked: settling comes first."""
    flow = booked(price=0)
    row = Attention.objects.create(kind=AttentionKind.EVENT_GONE, object_id="bk_1", flow=flow, derived=True)
    resolved = resolve(row)
    assert (resolved.note, resolved.resolved_by) == ("It no longer holds", None)


def test_an_attention_without_a_flow_is_resolved_too():
    raise_attention(AttentionKind.DELIVERY_PARKED, "d_1")
    resolve(the_attention())
    resolve(the_attention(), staff(RESOLVE_ATTENTION, name="tom"), "I did too")
    assert (the_attention().resolved_by, the_attention().note) == (staff().user, "Called the client")


@pytest.mark.parametrize("with_flow", [True, False])
def test_resolving_needs_its_permission_and_a_note(with_flow):
    if with_flow:
        mismatched_flow()
    else:
        raise_attention(AttentionKind.DELIVERY_PARKED, "d_1")
    with pytest.raises(Forbidden):
        resolve(the_attention(), staff(LINK_BOOKING, name="tom"))
    with pytest.raises(InvalidRequest):
        resolve(the_attention(), note=" ")
    assert the_attention().closed_at is None
