"""The rows of a booking's life, by subject: what is offered, the flow, the calls it wants, and its history."""

from bookings.models.catalogue import Builder, CancellationPolicy, Client, SessionType
from bookings.models.flow import Booking, BookingFlow, RescheduleEdge, UnplacedInvitee
from bookings.models.history import Attention, TimelineEntry
from bookings.models.intent import Intent

__all__ = [
    "Attention",
    "Booking",
    "BookingFlow",
    "Builder",
    "CancellationPolicy",
    "Client",
    "Intent",
    "RescheduleEdge",
    "SessionType",
    "TimelineEntry",
    "UnplacedInvitee",
]
