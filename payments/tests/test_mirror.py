"""Each trap of dj-stripe (DESIGN section 4): that it is there in the version we pin, and that we do not fall in.

A test named `test_dj_stripe_...` pins upstream's behaviour. Should one go red after an upgrade, a line of
`payments/mirror.py` may be able to go.
"""

import copy
import json
import logging
import socket
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from threading import Thread

import pytest
import responses
from django.apps import apps
from django.contrib import admin
from django.db import connection, transaction
from django.urls import NoReverseMatch, reverse
from djstripe import models as djstripe

from payments import mirror
from payments.mirror_marks import MirrorMark

STRIPE = json.loads((Path(__file__).parent / "fixtures/stripe/fixtures-subset.json").read_text())["resources"]
NOON = 1_790_000_000
PAYMENT_INTENT = STRIPE["payment_intent"]["id"]
KEY = "sk_test_" + "5ecret" * 4

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_calls(monkeypatch):
    """Whoever calls out fails, and so does the test: the mirror would hide the failure."""
    calls = []

    def refuse(_socket, address):
        calls.append(address)
        raise OSError("the mirror must not call anybody")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with responses.RequestsMock() as http:
        yield
        assert not http.calls
    assert not calls


@pytest.fixture(autouse=True)
def account(settings):
    settings.STRIPE_ACCOUNT_ID = "acct_slotpay"


def stripe_object(kind, **changes):
    """Stripe's own sample of it; all belong to one payment."""
    obj = copy.deepcopy(STRIPE[kind])
    if "payment_intent" in obj:
        obj["payment_intent"] = PAYMENT_INTENT
    return obj | changes


def stripe_event(kind, *, event_id="evt_1", created=NOON, name="", **changes):
    data = {"object": stripe_object(kind, **changes)}
    return STRIPE["event"] | {"id": event_id, "created": created, "type": name or f"{kind}.updated", "data": data}


def tables_with(text):
    """The names of all tables that have the text anywhere in a row."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT count(*) FROM "{table}" AS t WHERE t::text LIKE %s', [f"%{text}%"])  # noqa: S608
            if cursor.fetchone()[0]:
                found.append(table)
    return found


@pytest.mark.parametrize("kind", mirror.MODELS)
def test_every_kind_is_mirrored_whole_and_owned_by_our_account(kind):
    mirror.mirror_event(stripe_event("charge", event_id="evt_charge"))  # A refund needs one.
    assert mirror.mirror_event(stripe_event(kind))
    row = mirror.MODELS[kind].objects.get(id=STRIPE[kind]["id"])
    assert row.stripe_data == stripe_object(kind)
    assert row.djstripe_owner_account.id == "acct_slotpay"
    assert row.created == datetime.fromtimestamp(STRIPE[kind]["created"], UTC)


def test_the_event_itself_is_kept_once():
    event = stripe_event("charge") | {"request": {"id": "req_1", "idempotency_key": "key"}}
    assert mirror.mirror_event(event)
    assert mirror.mirror_event(event)
    kept = djstripe.Event.objects.get()
    assert (kept.id, kept.type, kept.data, kept.request_id) == ("evt_1", "charge.updated", event["data"], "req_1")


def test_an_event_of_an_object_that_is_not_mirrored_is_kept():
    assert mirror.mirror_event(stripe_event("customer"))
    assert djstripe.Event.objects.get().data["object"]["object"] == "customer"
    assert not MirrorMark.objects.exists()


def test_links_are_set_if_their_target_is_known_and_left_empty_if_not():
    assert mirror.mirror_event(stripe_event("charge", balance_transaction="txn_unknown", customer="cus_unknown"))
    charge = djstripe.Charge.objects.get()
    assert (charge.payment_intent, charge.balance_transaction, charge.customer) == (None, None, None)
    assert mirror.mirror_event(stripe_event("payment_intent", event_id="evt_2"))
    assert mirror.mirror_event(stripe_event("charge", event_id="evt_3", created=NOON + 1))
    charge.refresh_from_db()
    assert charge.payment_intent_id == PAYMENT_INTENT


def test_the_payload_is_left_as_it_was():
    event = stripe_event("dispute")
    del event["data"]["object"]["balance_transactions"]
    before = copy.deepcopy(event)
    assert mirror.mirror_event(event)
    assert event == before


# Order


def test_dj_stripe_has_no_order_guard():
    for status in ("complete", "open"):
        djstripe.Session.sync_from_stripe_data(stripe_object("checkout.session", payment_intent=None, status=status))
    assert djstripe.Session.objects.get().status == "open"


def test_an_older_payload_does_not_overwrite_newer_state():
    mirror.mirror_event(stripe_event("charge", event_id="evt_new", created=NOON + 1, status="succeeded"))
    assert mirror.mirror_event(stripe_event("charge", event_id="evt_old", created=NOON, status="pending"))
    assert djstripe.Charge.objects.get().status == "succeeded"
    assert not mirror.stale_objects().exists()


def test_a_newer_payload_does():
    mirror.mirror_event(stripe_event("charge", event_id="evt_old", created=NOON, status="pending"))
    mirror.mirror_event(stripe_event("charge", event_id="evt_new", created=NOON + 1, status="succeeded"))
    assert djstripe.Charge.objects.get().status == "succeeded"


def test_two_events_of_the_same_second_ask_for_a_read_which_then_wins():
    mirror.mirror_event(stripe_event("charge", event_id="evt_1", status="succeeded"))
    assert mirror.mirror_event(stripe_event("charge", event_id="evt_2", status="pending"))
    assert djstripe.Charge.objects.get().status == "succeeded"
    assert [(mark.kind, mark.object_id) for mark in mirror.stale_objects()] == [("charge", STRIPE["charge"]["id"])]

    read_at = datetime.fromtimestamp(NOON, UTC) + timedelta(seconds=5)
    assert mirror.mirror_object(stripe_object("charge", status="failed"), read_at)
    assert djstripe.Charge.objects.get().status == "failed"
    assert not mirror.stale_objects().exists()


def test_a_newer_event_settles_a_tie_too():
    mirror.mirror_event(stripe_event("charge", event_id="evt_1"))
    mirror.mirror_event(stripe_event("charge", event_id="evt_2"))
    mirror.mirror_event(stripe_event("charge", event_id="evt_3", created=NOON + 1))
    assert not mirror.stale_objects().exists()


def test_a_second_delivery_of_an_event_is_no_tie():
    mirror.mirror_event(stripe_event("charge"))
    mirror.mirror_event(stripe_event("charge"))
    assert not mirror.stale_objects().exists()


@pytest.mark.parametrize(("seconds_later", "stale", "status"), [(-61, False, "failed"), (61, False, "pending")])
def test_an_event_far_from_a_read_is_older_or_newer(seconds_later, stale, status):
    mirror.mirror_object(stripe_object("charge", status="failed"), datetime.fromtimestamp(NOON, UTC))
    mirror.mirror_event(stripe_event("charge", created=NOON + seconds_later, status="pending"))
    assert djstripe.Charge.objects.get().status == status
    assert mirror.stale_objects().exists() is stale


@pytest.mark.parametrize("seconds_later", [-60, 0, 60])
def test_an_event_close_to_a_read_asks_for_another_read_for_their_clocks_differ(seconds_later):
    mirror.mirror_object(stripe_object("charge", status="failed"), datetime.fromtimestamp(NOON, UTC))
    mirror.mirror_event(stripe_event("charge", created=NOON + seconds_later, status="pending"))
    assert djstripe.Charge.objects.get().status == "failed"
    assert mirror.stale_objects().exists()


def test_a_read_that_an_event_overtook_is_read_again():
    before_the_event = datetime.fromtimestamp(NOON, UTC) - timedelta(seconds=1)
    mirror.mirror_event(stripe_event("charge"))
    mirror.mirror_object(stripe_object("charge"), before_the_event)
    assert mirror.stale_objects().exists()


def test_what_is_expanded_in_an_answer_is_mirrored_and_linked():
    charge = stripe_object("charge", balance_transaction=stripe_object("balance_transaction"))
    payment_intent = stripe_object("payment_intent", latest_charge=charge)
    session = stripe_object("checkout.session", payment_intent=payment_intent)
    assert mirror.mirror_object(session, datetime.fromtimestamp(NOON, UTC))
    assert djstripe.Session.objects.get().payment_intent_id == PAYMENT_INTENT
    assert djstripe.Charge.objects.get().payment_intent_id == PAYMENT_INTENT
    assert djstripe.Charge.objects.get().balance_transaction_id == STRIPE["balance_transaction"]["id"]


# Refunds and disputes


def test_dj_stripe_mirrors_no_refund_from_refund_events():
    mirror.mirror_event(stripe_event("charge", event_id="evt_charge"))
    for name in ("refund.created", "refund.updated", "refund.failed"):
        djstripe.Event.process(stripe_event("refund", event_id=f"evt_{name}", name=name))
    assert djstripe.Event.objects.filter(type__startswith="refund.").count() == 3
    assert not djstripe.Refund.objects.exists()


@pytest.mark.parametrize("name", ["refund.created", "refund.updated", "refund.failed", "charge.refund.updated"])
def test_we_do(name):
    mirror.mirror_event(stripe_event("charge", event_id="evt_charge"))
    mirror.mirror_event(stripe_event("refund", name=name, status="failed"))
    refund = djstripe.Refund.objects.get()
    assert (refund.status, refund.amount, refund.charge_id) == ("failed", 100, STRIPE["charge"]["id"])


def test_dj_stripe_cannot_store_a_refund_without_its_charge():
    with pytest.raises(djstripe.Refund.DoesNotExist):
        djstripe.Refund.sync_from_stripe_data(stripe_object("refund", charge=None))


def test_a_refund_waits_for_its_charge_and_the_newest_state_of_it_is_then_mirrored():
    assert mirror.mirror_event(stripe_event("refund", event_id="evt_1", status="pending"))
    assert mirror.mirror_event(stripe_event("refund", event_id="evt_3", created=NOON + 2, status="succeeded"))
    assert mirror.mirror_event(stripe_event("refund", event_id="evt_2", created=NOON + 1, status="pending"))
    assert not djstripe.Refund.objects.exists()
    assert [(mark.kind, mark.object_id) for mark in mirror.stale_objects()] == [("charge", STRIPE["charge"]["id"])]

    assert mirror.mirror_event(stripe_event("charge", event_id="evt_charge", created=NOON - 60))
    assert djstripe.Refund.objects.get().status == "succeeded"
    assert not mirror.stale_objects().exists()
    assert not MirrorMark.objects.filter(postponed__isnull=False).exists()


def test_a_refund_that_waits_is_released_by_reading_its_charge_too():
    mirror.mirror_event(stripe_event("refund"))
    assert mirror.mirror_object(stripe_object("charge"), datetime.fromtimestamp(NOON, UTC))
    assert djstripe.Refund.objects.get().charge_id == STRIPE["charge"]["id"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("first", "second"), [("refund", "charge"), ("charge", "refund")])
def test_a_refund_and_its_charge_that_arrive_together_do_not_miss_each_other(first, second):
    def mirror_the_second():
        mirror.mirror_event(stripe_event(second, event_id="evt_2"))
        connection.close()

    mirror.mirror_event(stripe_event("customer", event_id="evt_0"))  # The account's row is there.
    worker = Thread(target=mirror_the_second)
    with transaction.atomic():
        mirror.mirror_event(stripe_event(first, event_id="evt_1"))
        worker.start()
        worker.join(0.3)
    worker.join()
    assert djstripe.Refund.objects.get().charge_id == STRIPE["charge"]["id"]


def test_a_refund_without_a_charge_is_left_out_and_waits_for_nothing():
    assert mirror.mirror_event(stripe_event("refund", charge=None))
    assert not djstripe.Refund.objects.exists()
    assert not MirrorMark.objects.filter(postponed__isnull=False).exists()
    assert not mirror.stale_objects().exists()


def test_dj_stripe_cannot_store_a_dispute_without_balance_transactions():
    dispute = stripe_object("dispute", charge=None, payment_intent=None)
    del dispute["balance_transactions"]
    with pytest.raises(TypeError):
        djstripe.Dispute.sync_from_stripe_data(dispute)


@pytest.mark.parametrize("missing", [None, "absent"])
def test_a_dispute_without_balance_transactions_is_mirrored_with_none(missing):
    event = stripe_event("dispute", balance_transactions=missing)
    if missing == "absent":
        del event["data"]["object"]["balance_transactions"]
    assert mirror.mirror_event(event)
    assert djstripe.Dispute.objects.get().balance_transactions == []


def test_dj_stripe_gets_the_amount_of_a_charge_wrong_where_the_currency_has_no_cents():
    mirror.mirror_event(stripe_event("charge", amount=5000, currency="jpy"))
    charge = djstripe.Charge.objects.get()
    assert charge.amount == 50
    assert charge.stripe_data["amount"] == 5000


# The secret key, and who may see what


def test_dj_stripes_own_account_lookup_begins_by_storing_the_key_in_plain_text():
    djstripe.APIKey.objects.get_or_create_by_api_key(KEY)
    assert tables_with(KEY) == ["djstripe_apikey"]


def test_the_secret_key_is_in_no_table(settings):
    settings.STRIPE_SECRET_KEY = settings.STRIPE_TEST_SECRET_KEY = KEY
    for kind in [*mirror.MODELS, "refund", "dispute"]:
        assert mirror.mirror_event(stripe_event(kind, event_id=f"evt_{kind}"))
        assert mirror.mirror_object(stripe_object(kind), datetime.fromtimestamp(NOON, UTC))
    assert tables_with(KEY) == []
    assert not djstripe.APIKey.objects.exists()


def test_without_a_configured_account_there_is_no_owner_and_no_key(settings):
    settings.STRIPE_ACCOUNT_ID = ""
    assert mirror.mirror_event(stripe_event("charge"))
    assert djstripe.Charge.objects.get().djstripe_owner_account is None
    assert not djstripe.APIKey.objects.exists()
    assert not djstripe.Account.objects.exists()


def test_none_of_dj_stripes_admins_is_registered():
    assert [model for model in admin.site._registry if model._meta.app_label == "djstripe"] == []


@pytest.mark.parametrize("model", ["refund", "charge", "apikey", "account", "webhookendpoint"])
def test_none_of_its_admin_pages_answers(admin_client, model):
    assert admin_client.get("/admin/").status_code == 200
    assert model in [known._meta.model_name for known in apps.get_app_config("djstripe").get_models()]
    for page in ("", "add/", "1/change/"):
        assert admin_client.get(f"/admin/djstripe/{model}/{page}").status_code == 404


def test_its_webhook_door_is_not_served():
    with pytest.raises(NoReverseMatch):
        reverse("djstripe:djstripe_webhook_by_uuid", args=["00000000-0000-0000-0000-000000000000"])


# When it goes wrong


@pytest.mark.parametrize(
    "broken",
    [
        {"id": "evt_1"},
        stripe_event("charge", amount="Jane Doe"),
        stripe_event("charge", description="Jane Doe \x00"),
        stripe_event("charge", currency="Jane Doe"),
    ],
)
def test_a_failure_is_logged_without_the_payload_and_leaves_nothing(broken, caplog):
    assert mirror.mirror_event(broken) is False
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "evt_1" in caplog.text
    assert "Jane Doe" not in caplog.text
    assert not djstripe.Event.objects.exists()
    assert not MirrorMark.objects.exists()


def test_the_private_api_that_we_use_is_that_of_the_pinned_version():
    """Read `payments/mirror.py` against the new version before changing this number."""
    assert version("dj-stripe") == "2.11.0"
    for model in [*mirror.MODELS.values(), djstripe.Event]:
        assert callable(model._stripe_object_to_record)
        assert callable(model._get_or_create_from_stripe_object)
        assert model._find_owner_account.__func__ is mirror._configured_account
