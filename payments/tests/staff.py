"""Builders for the tests of what staff ask for: who they are, and flows at the stations where they step in."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.auth.models import Permission, User
from django.db import connection

from api.errors import ApiError
from bookings.models import Attention, BookingFlow
from bookings.staff import Staff
from payments.models import Payment
from payments.records import record_payment
from payments.settlement import settled_flow
from payments.stripe_objects import parse_payment_intent
from payments.tests.rows import HEARD, booked, charge_json, opened, opening, paid, payment_json


def staff(*permissions: str, name: str = "sue") -> Staff:
    """A member of the staff with these permissions (`payments.issue_refund`) and no others."""
    user, _ = User.objects.get_or_create(username=name, is_staff=True)
    for permission in permissions:
        room, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(codename=codename, content_type__app_label=room))
    return Staff(User.objects.get(pk=user.pk), f"req-{name}")


def paid_flow() -> tuple[BookingFlow, Payment]:
    """A booking for 12,000, paid in full."""
    flow = booked()
    opened(flow)
    paid(flow)
    return flow, Payment.objects.get(flow=flow)


def mismatched_flow(amount: int = 10_000, currency: str = "usd") -> tuple[BookingFlow, Payment]:
    """A booking for 12,000 for which Stripe took something else (R31)."""
    flow = booked()
    opened(flow)
    took(flow, amount, currency, for_intent=True)
    return flow, Payment.objects.get(flow=flow)


def unmatched_flow(amount: int = 10_000) -> tuple[BookingFlow, Payment]:
    """A booking for which money came that names no intent of ours (R33)."""
    flow = booked()
    opened(flow)
    took(flow, amount)
    return flow, Payment.objects.get(flow=flow)


def took(
    flow: BookingFlow, amount: int, currency: str = "usd", payment_intent_id: str = "pi_1", *, for_intent: bool = False
) -> None:
    """Stripe tells of a payment intent and its charge."""
    charge = charge_json(payment_intent_id, amount) | {"currency": currency}
    intent = opening(flow) if for_intent else None
    seen = parse_payment_intent(payment_json(intent, payment_intent_id, amount, charge) | {"currency": currency})
    with settled_flow(flow.pk, HEARD) as locked:
        record_payment(locked, seen)


def now(flow: BookingFlow) -> tuple[str, str]:
    """The payment status, and the status of the newest booking."""
    flow.refresh_from_db()
    return flow.payment_status, flow.bookings.latest("created_at").status


def attentions(flow: BookingFlow) -> list[str]:
    """The kinds that are open."""
    return sorted(Attention.objects.filter(flow=flow, closed_at=None).values_list("kind", flat=True))


def said(flow: BookingFlow) -> list[tuple[str, int | None, str]]:
    """What staff did, by the timeline: who, which account, in which request."""
    lines = flow.timeline.filter(who="staff").order_by("id")
    return list(lines.values_list("what", "user_id", "cause_id"))


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Make these calls in threads, each with a database connection of its own; what they returned or refused with."""

    def own(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except ApiError as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(own, calls))


def reason_of(refusal: Any) -> str:
    """The word for programs in a BookingConflict, caught by `pytest.raises` or returned by `at_once`."""
    return str(getattr(refusal, "value", refusal).details["reason"])
