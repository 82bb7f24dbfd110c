"""Our sums beside Stripe's own objects, payment by payment (LIFECYCLE I1). Only reads, here and there."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from django.db.models import QuerySet

from api.calling import Refused
from bookings.models import BookingFlow
from operations.books import CHUNK, Finding
from payments import stripe_api
from payments.models import Payment

Sums = dict[str, int]
"""Minor units, by what became of them and the currency: `captured USD`, `refund succeeded USD`, `dispute lost USD`."""


def payments_of(flows: QuerySet[BookingFlow]) -> QuerySet[Payment]:
    """The payments to compare."""
    return Payment.objects.filter(flow__in=flows.order_by()).order_by("pk")


def compared_with_stripe(
    payments: QuerySet[Payment], compared: Callable[[], object] = lambda: None
) -> Iterator[Finding]:
    """Where our sums are not Stripe's; `compared` is called after each payment. Raises `CallFailed` if Stripe is away.

    Three calls for each payment, with no transaction open. News that is on its way to us shows as a difference.
    """
    last = ""
    # Not with a cursor: it would keep a transaction open while we wait for Stripe.
    while page := list(payments.filter(pk__gt=last).values_list("pk", "flow_id")[:CHUNK]):
        for payment_intent_id, flow_id in page:
            for invariant, text in _differences(payment_intent_id):
                yield Finding(invariant, flow_id, payment_intent_id, text)
            compared()
        last = page[-1][0]


def _differences(payment_intent_id: str) -> Iterator[tuple[str, str]]:
    try:
        seen = stripe_api.read_payment(payment_intent_id)
    except Refused as refusal:
        if refusal.status != 404:
            raise
        yield "I1", "Stripe knows no such payment"
        return
    refunds = stripe_api.list_refunds(payment_intent_id)
    disputes = stripe_api.list_disputes(payment_intent_id)
    theirs = _sums(
        (seen.captured_minor, seen.currency),
        ((one.amount_minor, one.currency, one.status) for one in refunds),
        ((one.amount_minor, one.currency, one.status) for one in disputes),
    )
    # Read after Stripe's, so that what was recorded meanwhile is not missed.
    row = Payment.objects.prefetch_related("refunds", "disputes").get(pk=payment_intent_id)
    ours = _sums(
        (row.captured_minor, row.currency),
        ((one.amount_minor, one.currency, one.status) for one in row.refunds.all()),
        ((one.amount_minor, one.currency, one.status) for one in row.disputes.all()),
    )
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name, 0) != theirs.get(name, 0):
            yield "I1", f"{name}: {ours.get(name, 0)} here, {theirs.get(name, 0)} at Stripe"
    for intent_id, made in Counter(one.metadata.get("intent") for one in refunds).items():
        if intent_id and made > 1:
            yield "I3", f"{made} refunds were made for {intent_id}"


def _sums(
    captured: tuple[int, str],
    refunds: Iterable[tuple[int, str, str]],
    disputes: Iterable[tuple[int, str, str]],
) -> Sums:
    sums = Counter({f"captured {captured[1]}": captured[0]})
    for amount, currency, status in refunds:
        sums[f"refund {status} {currency}"] += amount
    for amount, currency, status in disputes:
        sums[f"dispute {status} {currency}"] += amount
    return dict(sums)
