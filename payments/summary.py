"""The money of flows in few words, for the Booking of the API."""

from collections.abc import Iterable
from typing import Any

from payments.models import Checkout, Payment, Refund


def money_of(flow_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """By flow id: the latest session, payment intent and refund, and what was refunded in minor units.

    Three statements, however many flows.
    """
    flow_ids = list(flow_ids)
    found: dict[str, dict[str, Any]] = {}
    for flow_id, session_id in (
        Checkout.objects.filter(flow__in=flow_ids).order_by("recorded_at").values_list("flow_id", "pk")
    ):
        found.setdefault(flow_id, {})["session_id"] = session_id
    for flow_id, payment_intent_id in (
        Payment.objects.filter(flow__in=flow_ids).order_by("recorded_at").values_list("flow_id", "pk")
    ):
        found.setdefault(flow_id, {})["payment_intent_id"] = payment_intent_id
    for refund in Refund.objects.filter(payment__flow__in=flow_ids).select_related("payment").order_by("made_at"):
        money = found.setdefault(refund.payment.flow_id, {})
        money["refund_id"] = refund.refund_id
        money["refunded"] = money.get("refunded", 0) + (refund.amount_minor if refund.status == "succeeded" else 0)
    return found
