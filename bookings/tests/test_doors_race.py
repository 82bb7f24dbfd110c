"""Two at one door at the same moment."""

import threading
from typing import Any

import pytest
import responses
from django.db import connection, transaction

from bookings.models import Booking
from bookings.tests.hostile import assert_refused
from bookings.tests.marketplace import CALENDLY, begun, caller, offer
from bookings.tests.test_doors_store_event import calendly_tells

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_invitee_that_is_being_recorded_in_another_flow_is_a_conflict():
    ann, session_type = caller("ann@example.com"), offer()
    flow, theirs = begun(ann, session_type), begun(caller("bob@example.com"), session_type)
    recorded, asked = threading.Event(), threading.Event()

    def record() -> None:
        """The worker, with its transaction still open while Ann asks."""
        with transaction.atomic():
            Booking.objects.create(flow=theirs, invitee_id="INV", event_id="EV-INV")
            recorded.set()
            asked.wait(5)
            _wait_until_somebody_waits()
        connection.close()

    worker = threading.Thread(target=record)
    worker.start()
    recorded.wait(5)
    event_uri = f"{CALENDLY}/scheduled_events/EV-INV"
    uris: dict[str, Any] = {"calendlyEventUri": event_uri, "calendlyInviteeUri": f"{event_uri}/invitees/INV"}
    with responses.RequestsMock() as wire:
        calendly_tells(wire, session_type)
        asked.set()
        response = ann.post("/api/scheduling/calendly/store-event", {"bookingFlowId": flow.id, **uris})
    worker.join()
    assert_refused(response, 409)
    assert response.json()["error"]["details"]["reason"] == "taken"
    assert Booking.objects.get().flow_id == theirs.id


def _wait_until_somebody_waits() -> None:
    """Until a statement of somebody else's waits for our transaction to end."""
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")
            if cursor.fetchone()[0]:
                return
            cursor.execute("SELECT pg_sleep(0.01)")
