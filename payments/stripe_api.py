"""The only code that calls Stripe. Each function is one call, or one walk through a list, and decides nothing.

Every function raises `Refused`, `Unavailable` or `Unknown` (api/calling.py) and nothing else; an answer that we cannot
read is `Unknown`. Retries are the contract's (section 7): 5 tries, waits of 200 to 1,600 ms, the same idempotency key
each time. Amounts are Stripe's minor units, currencies our upper-case codes. Key, base and API version are settings,
read at call time. Reference: https://docs.stripe.com/api (2026-05-27.dahlia).
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar, cast

import stripe
from django.conf import settings
from stripe.params import RefundCreateParams, WebhookEndpointCreateParams
from stripe.params.checkout import SessionCreateParams, SessionCreateParamsLineItemPriceDataProductData

from api.calling import Deadline, Unknown, patiently, with_retries
from payments.stripe_fields import Fields, JSONObject
from payments.stripe_http import NotAgain, Transport
from payments.stripe_objects import (
    CheckoutSeen,
    DisputeSeen,
    PaymentSeen,
    RefundSeen,
    UnknownObject,
    WebhookEndpoint,
    parse_checkout,
    parse_dispute,
    parse_payment_intent,
    parse_refund,
    parse_webhook_endpoint,
)

WEBHOOK_EVENT_TYPES = (
    "checkout.session.completed",
    "checkout.session.expired",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "payment_intent.succeeded",
    "charge.succeeded",
    "charge.updated",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created",
    "radar.early_fraud_warning.updated",
)
"""What our endpoint is subscribed to. Not `payment_intent.payment_failed`: after a declined card the session stays
open and the client tries another."""

TRIES, FIRST_WAIT = 5, 0.2
PAGE, MOST_PAGES = 100, 100
"""Objects per page, Stripe's largest; and the pages that we read of one list before we give up."""
LONGEST_NAME, LONGEST_DESCRIPTION = 5_000, 40_000
"""Characters, of a product."""
CLOCKS_APART = timedelta(hours=1)
"""How far Stripe's clock is allowed to be behind ours when we look for what we asked for."""

Answer = TypeVar("Answer")


def open_checkout(
    *,
    amount_minor: int,
    currency: str,
    name: str,
    description: str,
    customer_email: str | None,
    client_reference_id: str,
    metadata: Mapping[str, str],
    success_url: str,
    cancel_url: str,
    expires_at: datetime,
    idempotency_key: str,
    deadline: Deadline | None = None,
) -> CheckoutSeen:
    """Open a Checkout session for one thing at one price.

    `metadata` goes on the session and on its payment intent, which Stripe does not copy by itself. `expires_at` must
    be 30 minutes to 24 hours away, and the same at every try: it is part of what the key stands for.
    """
    product: SessionCreateParamsLineItemPriceDataProductData = {"name": name[:LONGEST_NAME]}
    if description:  # Stripe refuses an empty one.
        product["description"] = description[:LONGEST_DESCRIPTION]
    params: SessionCreateParams = {
        "mode": "payment",
        "submit_type": "book",
        "payment_method_types": settings.STRIPE_PAYMENT_METHODS,
        "line_items": [
            {
                "quantity": 1,
                "price_data": {"currency": currency.lower(), "unit_amount": amount_minor, "product_data": product},
            }
        ],
        "client_reference_id": client_reference_id,
        "metadata": dict(metadata),
        "payment_intent_data": {"metadata": dict(metadata)},
        "success_url": success_url,
        "cancel_url": cancel_url,
        "expires_at": int(expires_at.timestamp()),
    }
    if customer_email:
        params["customer_email"] = customer_email
    return _call(
        lambda client: client.v1.checkout.sessions.create(params, {"idempotency_key": idempotency_key}),
        parse_checkout,
        deadline,
    )


def read_checkout(session_id: str, *, deadline: Deadline | None = None) -> CheckoutSeen:
    """A Checkout session with its payment, down to the charge."""
    return _call(
        lambda client: client.v1.checkout.sessions.retrieve(session_id, {"expand": ["payment_intent.latest_charge"]}),
        parse_checkout,
        deadline,
    )


def expire_checkout(session_id: str, *, idempotency_key: str, deadline: Deadline | None = None) -> CheckoutSeen:
    """Close a session. `Refused` (400) if it is no longer open: read it and follow what it says."""
    return _call(
        lambda client: client.v1.checkout.sessions.expire(session_id, {}, {"idempotency_key": idempotency_key}),
        parse_checkout,
        deadline,
    )


def read_payment(payment_intent_id: str, *, deadline: Deadline | None = None) -> PaymentSeen:
    """A payment intent with its latest charge."""
    return _call(
        lambda client: client.v1.payment_intents.retrieve(payment_intent_id, {"expand": ["latest_charge"]}),
        parse_payment_intent,
        deadline,
    )


def create_refund(
    *,
    payment_intent_id: str,
    amount_minor: int,
    idempotency_key: str,
    metadata: Mapping[str, str],
    deadline: Deadline | None = None,
) -> RefundSeen:
    """Send this much of a payment back.

    The reason is always `requested_by_customer`: `fraudulent` would put card and address on Stripe's block lists.
    """
    params: RefundCreateParams = {
        "payment_intent": payment_intent_id,
        "amount": amount_minor,
        "reason": "requested_by_customer",
        "metadata": dict(metadata),
    }
    return _call(
        lambda client: client.v1.refunds.create(params, {"idempotency_key": idempotency_key}), parse_refund, deadline
    )


def read_refund(refund_id: str) -> RefundSeen:
    """A refund as it stands."""
    return _call(lambda client: client.v1.refunds.retrieve(refund_id), parse_refund)


def list_refunds(payment_intent_id: str, *, deadline: Deadline | None = None) -> list[RefundSeen]:
    """All refunds of a payment, the newest first."""
    of_payment = {"payment_intent": payment_intent_id}
    return list(_walk(lambda client: client.v1.refunds.list, of_payment, parse_refund, deadline=deadline))


def list_disputes(payment_intent_id: str, *, deadline: Deadline | None = None) -> list[DisputeSeen]:
    """All disputes about a payment, the newest first."""
    of_payment = {"payment_intent": payment_intent_id}
    return list(_walk(lambda client: client.v1.disputes.list, of_payment, parse_dispute, deadline=deadline))


def read_dispute(dispute_id: str) -> DisputeSeen:
    """A dispute as it stands."""
    return _call(lambda client: client.v1.disputes.retrieve(dispute_id), parse_dispute)


def list_checkouts_between(since: datetime, until: datetime | None) -> Iterator[CheckoutSeen]:
    """The sessions that were opened in this time, the newest first, with their payments down to the charge.

    This list and the ones below wait out rate limits, page by page. `Unknown` after 10,000 objects: ask for less time.
    """
    filters = {"created": _span(since, until), "expand": ["data.payment_intent.latest_charge"]}
    return _walk(lambda client: client.v1.checkout.sessions.list, filters, parse_checkout, patient=True)


def list_failed_checkouts_between(since: datetime, until: datetime | None) -> Iterator[CheckoutSeen]:
    """The sessions whose delayed payment failed in this time: only Stripe's events say so, and those of 30 days."""
    filters = {"created": _span(since, until), "type": "checkout.session.async_payment_failed"}
    return _walk(lambda client: client.v1.events.list, filters, _checkout_of_event, patient=True)


def list_payments_between(since: datetime, until: datetime | None) -> Iterator[PaymentSeen]:
    """The payment intents that were begun in this time, the newest first, with their latest charges."""
    filters = {"created": _span(since, until), "expand": ["data.latest_charge"]}
    return _walk(lambda client: client.v1.payment_intents.list, filters, parse_payment_intent, patient=True)


def list_refunds_between(since: datetime, until: datetime | None) -> Iterator[RefundSeen]:
    """The refunds, of whatever payment, that were made in this time, the newest first."""
    return _walk(lambda client: client.v1.refunds.list, {"created": _span(since, until)}, parse_refund, patient=True)


def list_disputes_between(since: datetime, until: datetime | None) -> Iterator[DisputeSeen]:
    """The disputes, about whatever payment, that were opened in this time, the newest first."""
    return _walk(lambda client: client.v1.disputes.list, {"created": _span(since, until)}, parse_dispute, patient=True)


READERS: dict[str, Callable[[stripe.StripeClient], Callable[[str], stripe.StripeObject]]] = {
    "balance_transaction": lambda client: client.v1.balance_transactions.retrieve,
    "payment_intent": lambda client: client.v1.payment_intents.retrieve,
    "charge": lambda client: client.v1.charges.retrieve,
    "refund": lambda client: client.v1.refunds.retrieve,
    "dispute": lambda client: client.v1.disputes.retrieve,
    "checkout.session": lambda client: client.v1.checkout.sessions.retrieve,
}
"""What `read_object` can read, by Stripe's `object`."""


def read_object(kind: str, object_id: str) -> JSONObject:
    """An object as Stripe has it now, all of it and as it came: for the copy that staff read (`mirror.py`)."""
    return _call(lambda client: READERS[kind](client)(object_id), dict)


def find_checkout(intent_id: str, created_after: datetime) -> CheckoutSeen | None:
    """The session that was opened for this intent of ours (`metadata.intent`), or None if there is none.

    For an intent whose answer was lost for good. Reads the account's sessions since an hour before `created_after`
    (our clock), the newest first, at most 10,000 of them: `Unknown` if that does not settle it.
    """
    since = int((created_after - CLOCKS_APART).timestamp())
    for checkout in _walk(lambda client: client.v1.checkout.sessions.list, {"created": {"gte": since}}, parse_checkout):
        if checkout.metadata.get("intent") == intent_id:
            return read_checkout(checkout.session_id)
    return None


def find_refund(intent_id: str, payment_intent_id: str) -> RefundSeen | None:
    """The refund that was made of this payment for this intent of ours, or None if there is none."""
    matches = (refund for refund in list_refunds(payment_intent_id) if refund.metadata.get("intent") == intent_id)
    return next(matches, None)


def list_webhook_endpoints() -> list[WebhookEndpoint]:
    """All addresses that this account delivers to, ours and others'."""
    return list(_walk(lambda client: client.v1.webhook_endpoints.list, {}, parse_webhook_endpoint))


def create_webhook_endpoint(url: str, events: Sequence[str]) -> tuple[str, str]:
    """Subscribe an address to these event types, in our API version; its id and its signing secret.

    The secret is shown this once. A second call makes a second endpoint.
    """
    key = str(uuid.uuid4())
    params: dict[str, Any] = {"url": url, "enabled_events": list(events), "api_version": settings.STRIPE_API_VERSION}
    return _call(
        lambda client: client.v1.webhook_endpoints.create(
            cast("WebhookEndpointCreateParams", params), {"idempotency_key": key}
        ),
        _id_and_secret,
    )


def _span(since: datetime, until: datetime | None) -> dict[str, int]:
    """Stripe's filter for `created`."""
    return {"gte": int(since.timestamp()), **({"lt": int(until.timestamp())} if until else {})}


def _checkout_of_event(obj: JSONObject) -> CheckoutSeen:
    return parse_checkout(Fields(Fields(obj, "event").mapping("data"), None).mapping("object"))


def _id_and_secret(obj: JSONObject) -> tuple[str, str]:
    endpoint = Fields(obj, "webhook_endpoint")
    return endpoint.identifier("id"), endpoint.text("secret")


def _call(
    ask: Callable[[stripe.StripeClient], stripe.StripeObject],
    read: Callable[[JSONObject], Answer],
    deadline: Deadline | None = None,
) -> Answer:
    """Make one call, with its retries, and read its answer."""
    client = stripe.StripeClient(
        settings.STRIPE_SECRET_KEY,
        stripe_version=settings.STRIPE_API_VERSION,
        # Only the API's own: no call of ours goes to Stripe's other hosts.
        base_addresses={"api": settings.STRIPE_API_BASE},
        max_network_retries=0,
        http_client=Transport(deadline),
    )

    def call_once() -> stripe.StripeObject:
        try:
            return ask(client)
        except stripe.StripeError as error:
            raise Unknown("Stripe's answer is not JSON") from error

    try:
        answer = with_retries(call_once, tries=TRIES, first_wait=FIRST_WAIT, deadline=deadline)
    except NotAgain as final:
        raise final.failure from None
    try:
        # Of a body that is JSON but no object, the SDK hands on what it is.
        return read(answer.to_dict() if isinstance(answer, stripe.StripeObject) else answer)
    except UnknownObject as error:
        raise Unknown(f"Stripe's answer cannot be read: {error}") from error


def _walk(
    lister: Callable[[stripe.StripeClient], Callable[..., stripe.StripeObject]],
    filters: Mapping[str, Any],
    read: Callable[[JSONObject], Answer],
    *,
    deadline: Deadline | None = None,
    patient: bool = False,
) -> Iterator[Answer]:
    """The objects of a list, page by page; whoever is patient waits until Stripe's rate limit is over.

    `Unknown` after `MOST_PAGES` pages: what is not read may hold the answer.
    """
    params = {**filters, "limit": PAGE}
    for _ in range(MOST_PAGES):
        ask = partial(_call, lambda client: lister(client)(params), partial(_page, read), deadline)
        found, last_id = patiently(ask) if patient else ask()
        yield from found
        if last_id is None:
            return
        params["starting_after"] = last_id
    raise Unknown(f"Stripe's list goes on after {MOST_PAGES * PAGE} objects")


def _page(read: Callable[[JSONObject], Answer], obj: JSONObject) -> tuple[list[Answer], str | None]:
    """The objects of one page, and the id to go on after; None if this was the last page."""
    listing = Fields(obj, "list")
    entries = listing.array("data")
    goes_on = listing.flag("has_more") and entries
    return [read(entry) for entry in entries], Fields(entries[-1], None).identifier("id") if goes_on else None
