"""What is offered, and who offers and books it."""

from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from bookings import ids, money
from bookings.facts import Tier
from bookings.quantities import STANDARD_TIERS


class Builder(models.Model):
    """An expert who offers sessions (`builderProfileId`), a host in Calendly."""

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=ids.builder_id)
    name = models.CharField(max_length=200)
    email = models.EmailField()
    calendly_user_uri = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class Client(models.Model):
    """Who books and pays. The id is ours, or the marketplace's own (DESIGN 6.11)."""

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=ids.client_id)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="client"
    )
    name = models.CharField(max_length=200, blank=True)
    email = models.EmailField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = (models.Index(fields=["email"], name="client_by_email"),)
        permissions = (("act_for_clients", "Can act for any client (the marketplace's back end)"),)

    def __str__(self) -> str:
        return self.name or self.email or self.id


def standard_tiers() -> list[dict[str, int]]:
    """The default policy: at least 24 h before the start 100 %, at least 12 h 50 %, else nothing."""
    return [{"hours": int(tier.notice / timedelta(hours=1)), "percent": tier.percent} for tier in STANDARD_TIERS]


def read_tiers(stored: list[dict[str, int]]) -> tuple[Tier, ...]:
    """A policy as stored (`[{"hours": 24, "percent": 100}, ...]`) as the core's tiers."""
    return tuple(Tier(timedelta(hours=line["hours"]), line["percent"]) for line in stored)


def validate_tiers(stored: object) -> None:
    """Tiers are whole hours with a percentage; more notice never gives back less."""
    if not isinstance(stored, list) or not all(
        isinstance(line, dict)
        and set(line) == {"hours", "percent"}
        and all(type(value) is int for value in line.values())
        and line["hours"] >= 0
        and 0 <= line["percent"] <= 100
        for line in stored
    ):
        raise ValidationError('A policy is a list of {"hours": whole hours, "percent": 0 to 100}.')
    by_notice = sorted(stored, key=lambda line: line["hours"])
    if len({line["hours"] for line in stored}) != len(stored):
        raise ValidationError("A policy names each number of hours once.")
    if [line["percent"] for line in by_notice] != sorted(line["percent"] for line in stored):
        raise ValidationError("More notice must not give back less.")


class CancellationPolicy(models.Model):
    """How much comes back for how much notice. A flow keeps a snapshot of it."""

    name = models.CharField(max_length=100)
    tiers = models.JSONField(default=standard_tiers, validators=[validate_tiers])

    class Meta:
        verbose_name_plural = "cancellation policies"

    def __str__(self) -> str:
        return self.name


class SessionType(models.Model):
    """What a client buys: one kind of session with one builder, mapped to one Calendly event type (`solo`)."""

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=ids.session_type_id)
    builder = models.ForeignKey(Builder, on_delete=models.PROTECT, related_name="session_types")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, max_length=2000)
    duration_minutes = models.PositiveIntegerField()
    price_minor = models.PositiveIntegerField(help_text="In the currency's minor unit; 0 is free.")
    currency = models.CharField(max_length=3)
    event_type_id = models.CharField(max_length=64, unique=True, help_text="Calendly's event type, by its id.")
    event_type_uri = models.CharField(max_length=255)
    scheduling_url = models.URLField(max_length=500, help_text="Calendly's page for it.")
    hold_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: the setting HOLD_MINUTES.")
    policy = models.ForeignKey(CancellationPolicy, on_delete=models.PROTECT, related_name="+")
    active = models.BooleanField(default=True)
    active_since = models.DateTimeField(
        default=timezone.now, help_text="Direct Calendly bookings made before this are not ours."
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=models.Q(duration_minutes__gt=0), name="session_type_lasts"),
            models.CheckConstraint(
                condition=models.Q(currency__regex="^[A-Z]{3}$"), name="session_type_currency_is_upper_case"
            ),
        )
        indexes = (models.Index(fields=["-created_at", "-id"], name="session_type_newest_first"),)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a price that Stripe would refuse (DESIGN 6.18)."""
        if not 0 < self.price_minor < money.minimum_charge(self.currency):
            return
        least = money.minimum_charge(self.currency)
        raise ValidationError({"price_minor": f"Stripe charges at least {least} minor units of {self.currency}."})

    @property
    def hold(self) -> timedelta:
        """How long the slot is kept for an unpaid booking."""
        if self.hold_seconds is not None:
            return timedelta(seconds=self.hold_seconds)
        return timedelta(minutes=settings.HOLD_MINUTES)
