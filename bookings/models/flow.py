"""One client's purchase of one session, its bookings, and the reschedules between them."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from bookings import ids
from bookings.facts import BookingStatus, CalendlyStatus, Party, PaymentStatus
from bookings.models.catalogue import Client, SessionType


class BookingFlow(models.Model):
    """The aggregate, and the only lock: facts about the purchase itself, and the stored verdict.

    Changed only inside `payments.settlement.settled_flow`.
    """

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=ids.flow_id)
    client = models.ForeignKey(Client, on_delete=models.PROTECT, null=True, blank=True, related_name="flows")
    session_type = models.ForeignKey(SessionType, on_delete=models.PROTECT, related_name="flows")
    direct = models.BooleanField(default=False, help_text="Booked on Calendly with no flow of ours before it.")
    utm = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(help_text="Until when the link is offered; news after it still counts.")

    # The snapshot: what was offered when the client chose it.
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    duration_minutes = models.PositiveIntegerField()
    price_minor = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    policy_tiers = models.JSONField()
    hold_seconds = models.PositiveIntegerField()

    # Facts: what people asked for.
    client_phone = models.CharField(max_length=64, blank=True)
    client_notes = models.TextField(blank=True)
    return_url = models.CharField(max_length=2000, blank=True)
    cancel_url = models.CharField(max_length=2000, blank=True)
    waived_at = models.DateTimeField(null=True, blank=True)
    cancel_asked_at = models.DateTimeField(null=True, blank=True)
    cancel_asked_by = models.CharField(max_length=10, blank=True, choices=[(p, p) for p in Party])
    cancel_refund_requested = models.BooleanField(default=True)
    cancel_percent = models.PositiveSmallIntegerField(null=True, blank=True)
    cancel_reason = models.CharField(max_length=1000, blank=True)

    # The decision, written once (LIFECYCLE 4).
    decision_row = models.CharField(max_length=2, blank=True)
    decision_percent = models.PositiveSmallIntegerField(null=True, blank=True)
    decision_at = models.DateTimeField(null=True, blank=True)
    decision_by = models.CharField(max_length=10, blank=True, choices=[(p, p) for p in Party])
    decision_unseen = models.BooleanField(default=False)

    # The verdict as last decided.
    payment_status = models.CharField(
        max_length=20, default=PaymentStatus.UNPAID, choices=[(status, status) for status in PaymentStatus]
    )
    disputed = models.BooleanField(default=False)
    hold_ends_at = models.DateTimeField(null=True, blank=True)
    wake_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(decision_row="", decision_at=None, decision_percent=None)
                | models.Q(decision_row__in=["D1", "D2", "D3", "D4"], decision_at__isnull=False)
                & models.Q(decision_percent__gte=0, decision_percent__lte=100),
                name="flow_decision_whole",
            ),
        )
        indexes = (
            models.Index(fields=["settled_at"], name="flow_by_settlement"),
            models.Index(fields=["wake_at"], name="flow_due", condition=models.Q(wake_at__isnull=False)),
            models.Index(fields=["client", "-created_at"], name="flow_of_client"),
        )

    def __str__(self) -> str:
        return self.id


class Booking(models.Model):
    """One invitee in one Calendly scheduled event; unseen while only store-event spoke of it."""

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=ids.booking_id)
    flow = models.ForeignKey(BookingFlow, on_delete=models.PROTECT, related_name="bookings")
    created_at = models.DateTimeField(default=timezone.now, help_text="When we first heard of it.")

    # What the client said at store-event: never a fact, shown while nothing better is known.
    claimed_event_id = models.CharField(max_length=64, blank=True)
    claimed_invitee_id = models.CharField(max_length=64, blank=True)
    claimed_start = models.DateTimeField(null=True, blank=True)

    # What Calendly said: the first report wins, later ones fill what it lacked.
    invitee_id = models.CharField(max_length=64, null=True, blank=True, unique=True)
    event_id = models.CharField(max_length=64, blank=True)
    event_type_id = models.CharField(max_length=64, blank=True)
    start = models.DateTimeField(null=True, blank=True)
    end = models.DateTimeField(null=True, blank=True)
    invitee_created_at = models.DateTimeField(null=True, blank=True)
    name = models.CharField(max_length=255, blank=True)
    email = models.CharField(max_length=255, blank=True)
    time_zone = models.CharField(max_length=64, blank=True)
    phone = models.CharField(max_length=64, blank=True)
    answers = models.JSONField(default=list, blank=True)
    location = models.JSONField(default=dict, blank=True)
    tracking = models.JSONField(default=dict, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.CharField(max_length=255, blank=True)
    canceler_type = models.CharField(max_length=20, blank=True)
    cancel_reason = models.TextField(blank=True)
    rescheduled = models.BooleanField(default=False)
    left_at = models.DateTimeField(null=True, blank=True, help_text="When we first heard that it was given up.")
    gone = models.BooleanField(default=False, help_text="Calendly answers 404.")
    shared = models.BooleanField(default=False, help_text="The scheduled event has other active invitees.")
    no_show = models.BooleanField(default=False)
    no_show_at = models.DateTimeField(null=True, blank=True)

    # The verdict as last decided.
    status = models.CharField(
        max_length=20, default=BookingStatus.PENDING, choices=[(status, status) for status in BookingStatus]
    )
    calendly_status = models.CharField(
        max_length=10, default=CalendlyStatus.ACTIVE, choices=[(status, status) for status in CalendlyStatus]
    )
    cancellation_pending = models.BooleanField(default=False)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["flow"], condition=models.Q(invitee_id=None), name="booking_one_unseen_per_flow"
            ),
            models.CheckConstraint(
                condition=models.Q(invitee_id=None, event_id="") | ~models.Q(invitee_id=None) & ~models.Q(event_id=""),
                name="booking_seen_names_its_event",
            ),
        )
        indexes = (
            models.Index(fields=["-created_at", "-id"], name="booking_newest_first"),
            models.Index(fields=["status", "-created_at"], name="booking_by_status"),
            models.Index(fields=["event_id"], name="booking_by_event"),
            models.Index(fields=["start"], name="booking_by_start", condition=models.Q(start__isnull=False)),
            models.Index(
                fields=["claimed_invitee_id"],
                name="booking_unseen_by_claim",
                condition=models.Q(invitee_id=None),
            ),
        )
        permissions = (
            ("cancel_booking", "Can cancel a booking for a client"),
            ("link_booking", "Can link a direct booking to a client"),
            ("note_no_show", "Can note that a client did not come"),
            ("reread_booking", "Can have a booking read again from the providers"),
        )

    def __str__(self) -> str:
        return self.id

    @property
    def event_uri(self) -> str:
        """The scheduled event as Calendly names it; before it was seen, as the client did."""
        event_id = self.event_id or self.claimed_event_id
        return f"{settings.CALENDLY_API_BASE}/scheduled_events/{event_id}" if event_id else ""

    @property
    def invitee_uri(self) -> str:
        """The invitee as Calendly names it; before it was seen, as the client did."""
        invitee_id = self.invitee_id or self.claimed_invitee_id
        return f"{self.event_uri}/invitees/{invitee_id}" if invitee_id else ""


class RescheduleEdge(models.Model):
    """A reschedule: the old invitee gave way to the new one. Named by either end, kept as a set."""

    flow = models.ForeignKey(BookingFlow, on_delete=models.PROTECT, related_name="edges")
    old_invitee_id = models.CharField(max_length=64)
    new_invitee_id = models.CharField(max_length=64)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["flow", "old_invitee_id", "new_invitee_id"], name="edge_once"),
            models.CheckConstraint(
                condition=~models.Q(old_invitee_id=models.F("new_invitee_id")), name="edge_joins_two"
            ),
        )
        indexes = (
            models.Index(fields=["old_invitee_id"], name="edge_by_old"),
            models.Index(fields=["new_invitee_id"], name="edge_by_new"),
        )

    def __str__(self) -> str:
        return f"{self.old_invitee_id} -> {self.new_invitee_id}"


class UnplacedInvitee(models.Model):
    """An invitee whose flow is not known yet: it is read back at Calendly until `payments/placing.py` finds it.

    Nothing of the news is kept here, for reading it back tells all of it: the booking, cancels and reschedules.
    """

    invitee_id = models.CharField(primary_key=True, max_length=64)
    event_id = models.CharField(max_length=64)
    first_heard_at = models.DateTimeField(default=timezone.now)
    next_at = models.DateTimeField(help_text="When the sweeper looks at it again.")
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = (models.Index(fields=["next_at"], name="unplaced_due"),)

    def __str__(self) -> str:
        return self.invitee_id
