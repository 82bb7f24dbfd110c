"""Calls to providers that were decided on (LIFECYCLE 1.3 and 6)."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from bookings import ids
from bookings.facts import IntentKind, Outcome
from bookings.models.flow import Booking, BookingFlow


class Intent(models.Model):
    """One call: committed before it is made, made with no transaction open, closed by its answer."""

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=ids.intent_id)
    flow = models.ForeignKey(BookingFlow, on_delete=models.PROTECT, related_name="intents")
    kind = models.CharField(max_length=20, choices=[(kind, kind) for kind in IntentKind])
    target = models.CharField(max_length=255, blank=True, help_text="The provider's id of what the call is about.")
    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, null=True, blank=True, related_name="intents")
    amount_minor = models.PositiveIntegerField(default=0)
    currency = models.CharField(max_length=3, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Of the checkout to open; frozen.")
    why = models.CharField(max_length=100, help_text="The rule that made it due.")
    created_at = models.DateTimeField(default=timezone.now)

    # A refund that staff asked for.
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(max_length=1000, blank=True)
    needs_approval = models.BooleanField(default=False)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    replaces = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    # How the call goes.
    outcome = models.CharField(max_length=10, default=Outcome.OPEN, choices=[(outcome, outcome) for outcome in Outcome])
    note = models.CharField(max_length=500, blank=True, help_text="The last error, or how it ended.")
    attempts = models.PositiveIntegerField(default=0)
    key_number = models.PositiveSmallIntegerField(default=1, help_text="Raised when a key is spent or too old.")
    key_spent = models.BooleanField(default=False, help_text="The provider saved a failure of its own under the key.")
    started_at = models.DateTimeField(null=True, blank=True, help_text="First claim with the present key.")
    lease_until = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["flow"],
                condition=models.Q(kind=IntentKind.OPEN_CHECKOUT, outcome=Outcome.OPEN),
                name="intent_opens_one_checkout_per_flow",
            ),
            models.UniqueConstraint(
                fields=["kind", "target"],
                condition=models.Q(outcome=Outcome.OPEN)
                & ~models.Q(kind__in=[IntentKind.REFUND, IntentKind.OPEN_CHECKOUT]),
                name="intent_one_open_call_per_target",
            ),
            models.CheckConstraint(
                condition=models.Q(outcome=Outcome.OPEN, closed_at=None)
                | ~models.Q(outcome=Outcome.OPEN) & models.Q(closed_at__isnull=False),
                name="intent_closed_when_not_open",
            ),
            models.CheckConstraint(
                condition=~models.Q(kind=IntentKind.REFUND) | models.Q(amount_minor__gt=0), name="intent_refunds_money"
            ),
            models.CheckConstraint(
                condition=models.Q(approved_by=None) | ~models.Q(approved_by=models.F("requested_by")),
                name="intent_requester_never_approves",
            ),
        )
        indexes = (models.Index(fields=["next_at"], name="intent_due", condition=models.Q(outcome=Outcome.OPEN)),)

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def idempotency_key(self) -> str:
        """The key of every try; a new one (`<intent>:2`) only after the provider spent the last."""
        return self.id if self.key_number == 1 else f"{self.id}:{self.key_number}"
