"""What the mirror cannot tell the newest state of is read from Stripe again."""

from datetime import UTC, datetime

import pytest
import responses

from payments.mirror_marks import MirrorMark
from payments.tasks import reread
from payments.tests.stripe_schema import fixture

pytestmark = pytest.mark.django_db
THEN = datetime(2026, 11, 1, tzinfo=UTC)


def stale(kind: str, object_id: str) -> MirrorMark:
    return MirrorMark.objects.create(kind=kind, object_id=object_id, seen_at=THEN, event_id="evt_1", stale=True)


@responses.activate
def test_a_stale_object_is_read_and_is_stale_no_more(settings):
    charge = fixture("charge")
    mark = stale("charge", charge["id"])
    responses.get(f"{settings.STRIPE_API_BASE}/v1/charges/{charge['id']}", json=charge)
    reread(timestamp=0)
    mark.refresh_from_db()
    assert (mark.stale, mark.event_id) == (False, "")
    assert mark.seen_at > THEN


@responses.activate
def test_an_object_that_stripe_does_not_know_is_given_up(settings):
    mark = stale("charge", "ch_gone")
    missing = {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such charge"}}
    responses.get(f"{settings.STRIPE_API_BASE}/v1/charges/ch_gone", json=missing, status=404)
    reread(timestamp=0)
    mark.refresh_from_db()
    assert not mark.stale


@responses.activate
def test_while_stripe_is_away_it_stays_stale(settings, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    mark = stale("charge", "ch_later")
    responses.get(f"{settings.STRIPE_API_BASE}/v1/charges/ch_later", status=500, json={})
    reread(timestamp=0)
    mark.refresh_from_db()
    assert mark.stale
