"""The JSON of bookings, in and out (contract sections 1.1 and 3.1; DESIGN 5 and 6.4). Names and times are theirs."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from rest_framework import serializers

from api.serializers import IdField, StrictSerializer, TextField, TrueOrFalseField, UtcDateTimeField
from bookings import money
from bookings.facts import Quote
from bookings.models import Booking, BookingFlow, SessionType

LONGEST_URI = 500


class UtmSerializer(StrictSerializer):
    """The marketplace's own campaign parameters; passed on to Calendly and back."""

    source = TextField(max_length=255, required=False, allow_blank=True)  # type: ignore[assignment]  # the contract's name
    medium = TextField(max_length=255, required=False, allow_blank=True)
    campaign = TextField(max_length=255, required=False, allow_blank=True)


class InitiateBookingSerializer(StrictSerializer):
    sessionTypeId = IdField()
    clientId = IdField(required=False)
    builderProfileId = IdField()
    utmParams = UtmSerializer(required=False)


class ClientInfoSerializer(StrictSerializer):
    """What the client typed. What Calendly says of the same wins (DESIGN 6.3)."""

    name = TextField(max_length=200, required=False, allow_blank=True)
    email = TextField(max_length=254, required=False, allow_blank=True)
    phoneNumber = TextField(max_length=64, required=False, allow_blank=True)
    notes = TextField(max_length=5000, required=False, allow_blank=True)


class StoreEventSerializer(StrictSerializer):
    bookingFlowId = IdField()
    calendlyEventUri = TextField(max_length=LONGEST_URI)
    calendlyInviteeUri = TextField(max_length=LONGEST_URI)
    scheduledTime = UtcDateTimeField(required=False)
    clientInfo = ClientInfoSerializer(required=False)


class CancelBookingSerializer(StrictSerializer):
    bookingId = IdField()
    reason = TextField(max_length=1000, required=False, allow_blank=True)
    refundRequested = TrueOrFalseField(required=False)


def utc(at: datetime | None) -> str | None:
    """A time as all our answers write it: UTC with `Z`."""
    return UtcDateTimeField().to_representation(at) if at else None


def offer_json(row: SessionType | BookingFlow, session_type_id: str) -> dict[str, Any]:
    """A session type as it is offered, or as it was when a flow began (its snapshot)."""
    return {
        "id": session_type_id,
        "name": row.name,
        "description": row.description,
        "duration": row.duration_minutes,
        "price": money.to_major(row.price_minor, row.currency),
        "currency": row.currency,
    }


class SessionTypeSerializer(serializers.BaseSerializer[SessionType]):
    """A session type in the list of what can be booked."""

    def to_representation(self, instance: SessionType) -> dict[str, Any]:
        return {"builderProfileId": instance.builder_id, **offer_json(instance, instance.id)}


def status_json(booking: Booking) -> dict[str, Any]:
    """`GET booking-status` (contract section 1.1)."""
    flow = booking.flow
    return {
        "success": True,
        "bookingId": booking.id,
        "status": booking.status,
        "paymentStatus": flow.payment_status,
        "calendlyStatus": booking.calendly_status,
        "scheduledTime": utc(booking.start or booking.claimed_start),
        "sessionType": offer_json(flow, flow.session_type_id),
        "lastUpdated": utc(max(flow.updated_at, booking.updated_at)),
    }


def quote_json(booking: Booking, told: Quote) -> dict[str, Any]:
    """`GET cancellation-quote` (DESIGN section 5). `tier` is the hours of notice that the tier asks for."""
    currency = booking.flow.currency
    return {
        "success": True,
        "bookingId": booking.id,
        "refundAmount": money.to_major(told.amount, currency),
        "alreadyRefunded": money.to_major(told.already, currency),
        "currency": currency,
        "percent": told.percent,
        "tier": None if told.notice is None else int(told.notice / timedelta(hours=1)),
        "validUntil": utc(told.valid_until),
        "requestedBy": told.by,
    }


class BookingSerializer(serializers.BaseSerializer[Booking]):
    """The Booking of contract section 3.1, and what DESIGN 6.5 adds; its `?` fields are left out when unknown.

    The context brings what other rows say of a page of bookings: `money` by flow id, `neighbours` by booking id.
    """

    def to_representation(self, instance: Booking) -> dict[str, Any]:
        flow = instance.flow
        paid: Mapping[str, Any] = self.context["money"].get(flow.id, {})
        before, after = self.context["neighbours"].get(instance.id, (None, None))
        optional = {
            "stripeSessionId": paid.get("session_id"),
            "stripePaymentIntentId": paid.get("payment_intent_id"),
            "stripeRefundId": paid.get("refund_id"),
            "cancelReason": flow.cancel_reason or instance.cancel_reason or None,
            "cancelledAt": utc(flow.decision_at or instance.cancelled_at),
            "cancelledBy": flow.decision_by or None,
        }
        if instance.status == "RESCHEDULED" or not flow.decision_at:
            optional = {name: value for name, value in optional.items() if not name.startswith("cancel")}
        if paid.get("refund_id"):
            optional["refundAmount"] = money.to_major(paid["refunded"], flow.currency)
        return {
            "id": instance.id,
            "clientId": flow.client_id,
            "builderProfileId": flow.session_type.builder_id,
            "sessionTypeId": flow.session_type_id,
            "status": instance.status,
            "paymentStatus": flow.payment_status,
            "scheduledTime": utc(instance.start or instance.claimed_start),
            "duration": flow.duration_minutes,
            "price": money.to_major(flow.price_minor, flow.currency),
            "currency": flow.currency,
            "calendlyEventId": instance.event_id or instance.claimed_event_id,
            "calendlyEventUri": instance.event_uri,
            "calendlyInviteeUri": instance.invitee_uri,
            **{name: value for name, value in optional.items() if value is not None},
            "createdAt": utc(instance.created_at),
            "updatedAt": utc(max(flow.updated_at, instance.updated_at)),
            "rescheduledFrom": before,
            "rescheduledTo": after,
            "disputed": flow.disputed,
            "cancellationPending": instance.cancellation_pending,
            "holdExpiresAt": utc(flow.hold_ends_at),
            "payUrl": self.context["pay_urls"].get(instance.id),
        }
