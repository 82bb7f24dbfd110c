"""Attention rows that no verdict derives: the room that meets the trouble raises them, and closes them again."""

from django.utils import timezone

from bookings.facts import AttentionKind
from bookings.models import Attention


def raise_attention(kind: AttentionKind, object_id: str, *, text: str = "", flow_id: str | None = None) -> None:
    """Have a person look at an object. One open row per kind and object: raising it again changes nothing."""
    row = Attention(kind=kind, object_id=object_id[:255], text=text[:500], flow_id=flow_id, opened_at=timezone.now())
    Attention.objects.bulk_create([row], ignore_conflicts=True)


def close_attention(kind: AttentionKind, object_id: str) -> None:
    """The trouble is over."""
    Attention.objects.filter(kind=kind, object_id=object_id[:255], closed_at=None).update(closed_at=timezone.now())
