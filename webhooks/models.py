"""The inbox: every webhook as it was received."""

from django.db import models
from django.utils import timezone


class State(models.TextChoices):
    DUE = "due"
    PROCESSED = "processed"
    IGNORED = "ignored"
    PARKED = "parked"


class Delivery(models.Model):
    """One verified webhook. The row is the truth, a job is only a knock: state, attempts and next time are here.

    The id says what was told, not which attempt told it (LIFECYCLE 3), so a doubled delivery is one row.
    """

    id = models.CharField(primary_key=True, max_length=300)
    provider = models.CharField(max_length=10, choices=[("calendly", "calendly"), ("stripe", "stripe")])
    name = models.CharField(max_length=100, help_text="The provider's name of the event.")
    body = models.BinaryField(help_text="The bytes as they were signed.")
    received_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=10, choices=State.choices, default=State.DUE)
    attempts = models.PositiveIntegerField(default=0, help_text="Failed ones.")
    next_at = models.DateTimeField(help_text="When the sweeper knocks, should nobody have been here before.")
    reason = models.CharField(max_length=500, blank=True, help_text="The last error, or why it was ignored.")
    processed_at = models.DateTimeField(null=True, blank=True)
    flow_id = models.CharField(max_length=64, blank=True, help_text="The flow that it was about.")

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = (
            models.Index(fields=["next_at"], name="delivery_due", condition=models.Q(state=State.DUE)),
            models.Index(fields=["state", "-received_at"], name="delivery_by_state"),
            models.Index(fields=["flow_id"], name="delivery_of_flow", condition=~models.Q(flow_id="")),
        )

    def __str__(self) -> str:
        return self.id
