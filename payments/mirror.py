"""The audit copy: Stripe's objects in dj-stripe's tables, for staff to read (DESIGN section 4).

The only code that touches dj-stripe, and no rule reads what it writes: our own rows are the truth. It feeds dj-stripe
2.11 through its private conversions, never through its webhook view, its handlers or `sync_from_stripe_data`, which
call the API inside a transaction, store the secret key and overwrite newer state with older. Nothing here makes a
call: a link to an object that is not mirrored yet stays empty.
"""

import copy
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from djstripe import models as djstripe

from payments.mirror_marks import MirrorMark

P = ParamSpec("P")
StripeJSON = dict[str, Any]

logger = logging.getLogger(__name__)

MODELS = {
    "balance_transaction": djstripe.BalanceTransaction,
    "payment_intent": djstripe.PaymentIntent,
    "charge": djstripe.Charge,
    "refund": djstripe.Refund,
    "dispute": djstripe.Dispute,
    "checkout.session": djstripe.Session,
}
"""What is mirrored, by Stripe's `object`. A model comes after those that it links to."""

CLOCK_DOUBT = timedelta(seconds=60)
"""Times of Stripe's events and of our own reads, when closer than this, do not say which came first."""

NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def _best_effort(mirror: Callable[Concatenate[StripeJSON, P], None]) -> Callable[Concatenate[StripeJSON, P], bool]:
    """Turn every failure into a log line and the answer False, and leave the database as it was."""

    @wraps(mirror)
    def attempt(source: StripeJSON, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        try:
            with transaction.atomic():
                mirror(copy.deepcopy(source), *args, **kwargs)  # dj-stripe changes what it is given.
        except Exception as failure:
            # Not the message: PostgreSQL quotes the row in it, and with it the payload.
            where = "".join(traceback.format_tb(failure.__traceback__))
            logger.error("%s of %s failed: %s\n%s", mirror.__name__, source.get("id"), type(failure).__name__, where)
            return False
        return True

    return attempt


@_best_effort
def mirror_event(event: StripeJSON) -> None:
    """Mirror a verified Stripe event, and the object in it unless our copy of that is newer.

    Where two events of one object carry the same `created` (whole seconds), nothing says which is newer: the copy
    is left and marked stale. Answers whether this worked: it never raises, logs why not, and has then written nothing.
    """
    obj = event["data"]["object"]
    _one_at_a_time(obj)
    djstripe.Event._get_or_create_from_stripe_object(event)
    _mirror(obj, datetime.fromtimestamp(event["created"], UTC), event["id"])


@_best_effort
def mirror_object(obj: StripeJSON, seen_at: datetime) -> None:
    """Mirror an object read from the API, with all that is expanded in it. It always wins.

    `seen_at` is when we asked, by our clock, before the call: if an event newer than that has been mirrored
    meanwhile, the object stays stale and is read once more. Answers as `mirror_event` does.
    """
    _one_at_a_time(obj)
    _mirror(obj, seen_at, event_id="")


def mark_stale(kind: str, object_id: str) -> None:
    """Have an object read whose events we missed. `kind` is Stripe's `object`."""
    MirrorMark.objects.update_or_create(
        object_id=object_id, defaults={"stale": True}, create_defaults={"kind": kind, "seen_at": NEVER, "stale": True}
    )


def stale_objects() -> QuerySet[MirrorMark]:
    """What must be read from the API (`kind`, `object_id`) and given to `mirror_object`, longest unseen first."""
    return MirrorMark.objects.filter(stale=True).order_by("seen_at")


def give_up(object_id: str) -> None:
    """Stripe knows no such object (any more): our copy stays as it is, and nobody reads it again."""
    MirrorMark.objects.filter(object_id=object_id).update(stale=False)


def use_configured_account() -> None:
    """Make dj-stripe take STRIPE_ACCOUNT_ID as the owner of all it stores, and no owner while that is not set.

    Its own lookup goes by the secret key: it stores the key in plain text and calls GET /account.
    """
    djstripe.StripeModel._find_owner_account = classmethod(_configured_account)


def _configured_account(_model: type, _data: object, api_key: object = None, livemode: object = None) -> Any:
    """Replaces `StripeModel._find_owner_account` and has its parameters."""
    if not settings.STRIPE_ACCOUNT_ID:
        return None
    return djstripe.Account.objects.get_or_create(id=settings.STRIPE_ACCOUNT_ID)[0]


def _one_at_a_time(obj: StripeJSON) -> None:
    """Wait, until this transaction ends, for whoever else mirrors objects of the same payment.

    So a refund and its charge, arriving together, cannot miss each other.
    """
    payment = _id_of(obj.get("payment_intent")) or _id_of(obj.get("charge")) or obj.get("id")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"mirror {payment}"])


def _mirror(source: StripeJSON, seen_at: datetime, event_id: str) -> None:
    kinds = list(MODELS)
    for obj in sorted(_objects_in(source), key=lambda found: kinds.index(found["object"])):
        mark = MirrorMark.objects.filter(object_id=obj["id"]).first()
        if mark is None:
            mark = MirrorMark(object_id=obj["id"], kind=obj["object"], seen_at=NEVER)
        if _is_newer(mark, seen_at, event_id):
            mark.stale = not event_id and mark.seen_at > seen_at
            mark.seen_at, mark.event_id = seen_at, event_id
            _write_or_postpone(mark, obj)
        mark.save()
        if obj["object"] == "charge":
            _mirror_refunds_of(obj["id"])


def _objects_in(value: object) -> Iterator[StripeJSON]:
    """Every object in it that we mirror, at any depth: Stripe's answers have some expanded."""
    if isinstance(value, dict):
        if value.get("object") in MODELS:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _objects_in(part)


def _is_newer(mark: MirrorMark, seen_at: datetime, event_id: str) -> bool:
    """Whether to write over our copy. Where that cannot be told, the mark becomes stale instead."""
    if not event_id:
        return True
    if event_id == mark.event_id:
        return False
    doubt = timedelta(0) if mark.event_id else CLOCK_DOUBT
    if abs(seen_at - mark.seen_at) <= doubt:
        mark.stale = True
        return False
    return seen_at > mark.seen_at


def _write_or_postpone(mark: MirrorMark, obj: StripeJSON) -> None:
    """Write the object; a refund waits if its charge is not mirrored, for dj-stripe's `Refund.charge` is NOT NULL.

    A refund that has no charge at all (Stripe has such) would wait for ever and is not mirrored.
    """
    mark.postponed = None
    if obj["object"] == "refund":
        charge_id = _id_of(obj.get("charge"))
        if not djstripe.Charge.objects.filter(id=charge_id).exists():
            if charge_id:
                mark.postponed = obj
                missing = {"kind": "charge", "seen_at": NEVER, "stale": True}
                MirrorMark.objects.get_or_create(object_id=charge_id, defaults=missing)
            return
    _write(obj)


def _mirror_refunds_of(charge_id: str) -> None:
    """Mirror the refunds that were waiting for this charge."""
    for mark in MirrorMark.objects.filter(postponed__isnull=False, postponed__charge=charge_id):
        _write_or_postpone(mark, cast(StripeJSON, mark.postponed))
        mark.save()


def _write(obj: StripeJSON) -> None:
    """Put the object into dj-stripe's table, each link set if its target is mirrored and empty if not.

    dj-stripe would fetch a target that it does not know, so it converts the object without its links. Its hooks,
    which call the API too, are not run.
    """
    model = MODELS[obj["object"]]
    if model is djstripe.Dispute:
        # Where Stripe leaves it out, dj-stripe's readers of the row raise TypeError.
        obj["balance_transactions"] = obj.get("balance_transactions") or []
    links = [field for field in model._meta.concrete_fields if field.is_relation and field.name in obj]
    record = model._stripe_object_to_record({**obj, **{field.name: None for field in links}})
    record["stripe_data"] = obj
    for field in links:
        target = _id_of(obj[field.name])
        record[field.name] = target and field.related_model.objects.filter(id=target).first()
    model.objects.update_or_create(id=obj["id"], defaults=record)


def _id_of(value: object) -> str | None:
    """The id in a field of Stripe's that holds an id, an expanded object or null."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) and found else None
