"""Finding the flow that a Stripe object belongs to: by what we know of it, else by what we wrote into its metadata."""

from collections.abc import Mapping

from bookings.models import Booking, BookingFlow, Intent
from payments.models import Checkout, Payment


def flow_of_money(
    metadata: Mapping[str, str],
    *,
    session_id: str | None = None,
    payment_intent_id: str | None = None,
    charge_id: str | None = None,
    booking_id: str | None = None,
) -> str | None:
    """The flow's id, or None for an object that is not of our making. `booking_id` is the client reference."""
    found: str | None = None
    if session_id:
        found = Checkout.objects.filter(pk=session_id).values_list("flow_id", flat=True).first()
    if not found and payment_intent_id:
        found = Payment.objects.filter(pk=payment_intent_id).values_list("flow_id", flat=True).first()
        found = found or (
            Checkout.objects.filter(payment_intent_id=payment_intent_id).values_list("flow_id", flat=True).first()
        )
    if not found and charge_id:
        found = Payment.objects.filter(charge_id=charge_id).values_list("flow_id", flat=True).first()
    if not found and metadata.get("intent"):
        found = Intent.objects.filter(pk=metadata["intent"]).values_list("flow_id", flat=True).first()
    for named in (metadata.get("bookingId"), booking_id):
        if not found and named:
            found = Booking.objects.filter(pk=named).values_list("flow_id", flat=True).first()
    if not found and metadata.get("flowId"):
        found = BookingFlow.objects.filter(pk=metadata["flowId"]).values_list("pk", flat=True).first()
    return found
