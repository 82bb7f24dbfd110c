"""What the mirror remembers of each Stripe object, because dj-stripe has no order guard of its own."""

from django.db import models


class MirrorMark(models.Model):
    """How new our copy of one Stripe object is. Only `payments/mirror.py` reads and writes these."""

    object_id = models.CharField(max_length=255, primary_key=True)
    kind = models.CharField(max_length=64)
    """Stripe's `object` (`charge`, `checkout.session`): says where to read it again."""
    seen_at = models.DateTimeField()
    """The `created` of the Stripe event that the copy is from; of an object read from the API, when we asked."""
    event_id = models.CharField(max_length=255, blank=True)
    """The Stripe event that the copy is from; empty if it was read from the API."""
    stale = models.BooleanField(default=False)
    """The copy cannot be trusted to be the newest, or is missing: the object must be read from the API."""
    postponed = models.JSONField(null=True, blank=True)
    """A refund that waits for its charge to be mirrored."""

    class Meta:
        indexes = [
            models.Index(fields=["seen_at"], name="mirror_stale", condition=models.Q(stale=True)),
            models.Index(fields=["object_id"], name="mirror_postponed", condition=models.Q(postponed__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id}"
