"""Beginning a flow: the snapshot of what is offered at that moment."""

from datetime import datetime, timedelta

from django.conf import settings

from bookings.facts import PaymentStatus
from bookings.models import BookingFlow, Client, SessionType


def begin_flow(
    session_type: SessionType,
    client: Client | None,
    *,
    now: datetime,
    direct: bool = False,
    utm: dict[str, str] | None = None,
) -> BookingFlow:
    """A new flow, stored. There is nothing to settle before somebody books or pays.

    `direct` marks one that began on Calendly, without a link of ours (R40); it has no hold.
    """
    return BookingFlow.objects.create(
        client=client,
        session_type=session_type,
        direct=direct,
        utm=utm or {},
        created_at=now,
        updated_at=now,
        expires_at=now + timedelta(hours=settings.FLOW_HOURS),
        name=session_type.name,
        description=session_type.description,
        duration_minutes=session_type.duration_minutes,
        price_minor=session_type.price_minor,
        currency=session_type.currency,
        policy_tiers=session_type.policy.tiers,
        hold_seconds=int(session_type.hold.total_seconds()),
        payment_status=PaymentStatus.UNPAID if session_type.price_minor else PaymentStatus.PAID,
    )
