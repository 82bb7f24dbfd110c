"""What happened to a flow, and what a person must look at."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from bookings.facts import AttentionKind
from bookings.models.flow import BookingFlow


class TimelineEntry(models.Model):
    """One line of a flow's history. Append-only: a trigger refuses changes (migration 0002)."""

    flow = models.ForeignKey(BookingFlow, on_delete=models.PROTECT, related_name="timeline")
    at = models.DateTimeField(default=timezone.now)
    who = models.CharField(max_length=20, help_text="client, staff, calendly, stripe or system.")
    user_id = models.BigIntegerField(null=True, blank=True, help_text="Of the client's or staff member's account.")
    what = models.CharField(max_length=300)
    cause_kind = models.CharField(max_length=20, help_text="delivery, intent, request or clock.")
    cause_id = models.CharField(max_length=255, blank=True)
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name_plural = "timeline entries"
        indexes = (models.Index(fields=["flow", "id"], name="timeline_of_flow"),)

    def __str__(self) -> str:
        return self.what


class Attention(models.Model):
    """Something a person must look at; one open row per kind and object."""

    kind = models.CharField(max_length=30, choices=[(kind, kind) for kind in AttentionKind])
    object_id = models.CharField(max_length=255)
    flow = models.ForeignKey(BookingFlow, on_delete=models.PROTECT, null=True, blank=True, related_name="attentions")
    derived = models.BooleanField(default=False, help_text="Raised by a verdict; closes when it no longer holds.")
    text = models.CharField(max_length=500, blank=True)
    opened_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    note = models.CharField(max_length=1000, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["kind", "object_id"], condition=models.Q(closed_at=None), name="attention_one_open_per_object"
            ),
        )
        indexes = (
            models.Index(fields=["opened_at"], name="attention_open", condition=models.Q(closed_at=None)),
            models.Index(fields=["flow"], name="attention_of_flow"),
        )
        permissions = (("resolve_attention", "Can resolve what needs attention"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id}"
