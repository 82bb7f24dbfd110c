"""Staff can look at everything that the life cycle wrote, and change none of it."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from bookings.admin import ReadOnlyAdmin
from bookings.flows import begin_flow
from bookings.models import Builder, CancellationPolicy, Client, SessionType

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client):
    user = User.objects.create_superuser("staff@example.com", "staff@example.com", "a-long-password")
    client.force_login(user)
    return client


@pytest.fixture
def flow():
    session_type = SessionType.objects.create(
        builder=Builder.objects.create(name="Bo", email="bo@example.com"),
        name="Consultation",
        duration_minutes=60,
        price_minor=12_000,
        currency="USD",
        event_type_id="ET1",
        event_type_uri="https://api.calendly.com/event_types/ET1",
        scheduling_url="https://calendly.com/bo/consultation",
        policy=CancellationPolicy.objects.create(name="Standard"),
    )
    return begin_flow(session_type, Client.objects.create(email="casey@example.com"), now=timezone.now())


def test_every_list_opens(staff, flow):
    for model, model_admin in admin.site._registry.items():
        page = staff.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"))
        assert page.status_code == 200, model_admin


def test_a_flow_opens_with_its_history_and_cannot_be_changed(staff, flow):
    url = reverse("admin:bookings_bookingflow_change", args=[flow.id])
    assert flow.id in staff.get(url).content.decode()
    assert staff.post(url, {"payment_status": "PAID"}).status_code == 403
    flow.refresh_from_db()
    assert flow.payment_status == "UNPAID"


def test_nothing_that_the_life_cycle_writes_is_editable():
    ours = {"Client", "BookingFlow", "Booking", "Attention", "Delivery"}
    read_only = {model.__name__ for model, one in admin.site._registry.items() if isinstance(one, ReadOnlyAdmin)}
    assert ours == read_only
