"""The money of a flow as Stripe told it. Facts only: they are merged by `payments/records.py` and never refused.

All amounts are integers in the currency's minor unit; currencies are upper-case ISO codes.
"""

from django.db import models
from django.utils import timezone

from bookings.facts import AsyncResult, CheckoutStatus
from bookings.models import BookingFlow, Intent
from payments.mirror_marks import MirrorMark

__all__ = ["Checkout", "Dispute", "MirrorMark", "Payment", "Refund"]


class Checkout(models.Model):
    """One Stripe Checkout session. One live one per flow: `intent_opens_one_checkout_per_flow` and the flow's lock."""

    session_id = models.CharField(primary_key=True, max_length=255)
    flow = models.ForeignKey(BookingFlow, on_delete=models.PROTECT, related_name="checkouts")
    intent = models.OneToOneField(
        Intent, on_delete=models.PROTECT, null=True, blank=True, related_name="checkout", help_text="Empty: not ours."
    )
    status = models.CharField(
        max_length=10, default=CheckoutStatus.OPEN, choices=[(status, status) for status in CheckoutStatus]
    )
    paid = models.BooleanField(default=False)
    async_result = models.CharField(
        max_length=10, blank=True, default=AsyncResult.NONE, choices=[(result, result) for result in AsyncResult]
    )
    payment_intent_id = models.CharField(max_length=255, blank=True)
    amount_minor = models.BigIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    url = models.TextField(blank=True)
    expires_at = models.DateTimeField(help_text="Stripe's own.")
    recorded_at = models.DateTimeField(default=timezone.now)
    completed_at = models.DateTimeField(null=True, blank=True, help_text="When we first heard that it was complete.")
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = (models.Index(fields=["payment_intent_id"], name="checkout_by_payment_intent"),)

    def __str__(self) -> str:
        return self.session_id


class Payment(models.Model):
    """One PaymentIntent that took money, or that a refund or dispute spoke of before we heard that it did."""

    payment_intent_id = models.CharField(primary_key=True, max_length=255)
    flow = models.ForeignKey(BookingFlow, on_delete=models.PROTECT, related_name="payments")
    intent = models.ForeignKey(
        Intent, on_delete=models.PROTECT, null=True, blank=True, related_name="payments", help_text="Empty: unmatched."
    )
    captured_minor = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3, blank=True)
    charge_id = models.CharField(max_length=255, blank=True)
    captured_at = models.DateTimeField(null=True, blank=True, help_text="Stripe's time.")
    provisional = models.BooleanField(default=True, help_text="The time is an event's, not yet the charge's.")
    receipt_url = models.TextField(blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    refund_intended_minor = models.BigIntegerField(
        default=0, help_text="Refund intents of ours that are open, pending or succeeded."
    )
    recorded_at = models.DateTimeField(default=timezone.now)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=models.Q(captured_minor__gte=0), name="payment_captures_no_less_than_0"),
            models.CheckConstraint(
                condition=models.Q(refund_intended_minor__gte=0)
                & models.Q(refund_intended_minor__lte=models.F("captured_minor")),
                name="payment_refunds_intended_within_captured",
            ),
        )
        indexes = (models.Index(fields=["charge_id"], name="payment_by_charge"),)
        permissions = (
            ("issue_refund", "Can send money back"),
            ("approve_refund", "Can approve or refuse a refund that somebody else asked for"),
            ("waive_payment", "Can waive what a client owes"),
            ("resolve_payment", "Can accept or return money that does not match"),
        )

    def __str__(self) -> str:
        return self.payment_intent_id


class Refund(models.Model):
    """One refund, ours or made outside (no intent). Facts are never refused, so nothing here bounds its amount."""

    refund_id = models.CharField(primary_key=True, max_length=255)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    intent = models.OneToOneField(Intent, on_delete=models.PROTECT, null=True, blank=True, related_name="refund")
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=30)
    failure_reason = models.CharField(max_length=100, blank=True)
    made_at = models.DateTimeField(help_text="Stripe's time.")
    recorded_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.refund_id


class Dispute(models.Model):
    """One dispute or inquiry."""

    dispute_id = models.CharField(primary_key=True, max_length=255)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="disputes")
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    inquiry = models.BooleanField(default=False)
    status = models.CharField(max_length=30)
    reason = models.CharField(max_length=50, blank=True)
    refundable = models.BooleanField(default=False, help_text="Stripe's is_charge_refundable.")
    due_by = models.DateTimeField(null=True, blank=True)
    balance_transactions = models.JSONField(
        default=list, help_text="In the settlement currency: for staff, not in sums."
    )
    made_at = models.DateTimeField(help_text="Stripe's time.")
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = (models.Index(fields=["due_by"], name="dispute_by_deadline"),)

    def __str__(self) -> str:
        return self.dispute_id
