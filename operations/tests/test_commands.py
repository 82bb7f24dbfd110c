"""The commands by which operators register the webhooks and do at once what is due."""

import json
from urllib.parse import parse_qs

import pytest
import responses
from django.core.management import CommandError, call_command

from webhooks.inbox import keep
from webhooks.models import Delivery

CALENDLY = "https://api.calendly.com"
SUBSCRIPTION = {
    "uri": f"{CALENDLY}/webhook_subscriptions/WS1",
    "callback_url": "http://testserver/api/webhooks/calendly",
    "events": ["invitee.created", "invitee.canceled", "invitee_no_show.created", "invitee_no_show.deleted"],
    "scope": "organization",
    "state": "active",
}
ENDPOINT = {
    "id": "we_1",
    "object": "webhook_endpoint",
    "url": "http://testserver/api/webhooks/stripe",
    "status": "enabled",
    "enabled_events": ["*"],
    "api_version": "2026-05-27.dahlia",
}


def calendly_has(*subscriptions):
    responses.get(f"{CALENDLY}/webhook_subscriptions", json={"collection": list(subscriptions), "pagination": {}})


def stripe_has(*endpoints):
    listing = {"object": "list", "data": list(endpoints), "has_more": False, "url": "/v1/webhook_endpoints"}
    responses.get("https://api.stripe.com/v1/webhook_endpoints", json=listing)


def made() -> list[str]:
    return [f"{call.request.method} {call.request.url}" for call in responses.calls if call.request.method != "GET"]


@responses.activate
def test_setup_webhooks_makes_what_is_missing_and_prints_the_secret(settings, capsys):
    calendly_has()
    stripe_has()
    responses.post(f"{CALENDLY}/webhook_subscriptions", json={"resource": SUBSCRIPTION}, status=201)
    responses.post("https://api.stripe.com/v1/webhook_endpoints", json=ENDPOINT | {"secret": "whsec_new"})
    call_command("setup_webhooks")
    posted = json.loads(responses.calls[1].request.body or "")
    assert posted["signing_key"] == settings.CALENDLY_WEBHOOK_SIGNING_KEYS[0]
    assert posted["url"] == "http://testserver/api/webhooks/calendly"
    assert parse_qs(str(responses.calls[3].request.body))["api_version"] == [settings.STRIPE_API_VERSION]
    assert capsys.readouterr().out == "STRIPE_WEBHOOK_SECRETS=whsec_new\n"


@responses.activate
def test_setup_webhooks_leaves_what_is_there():
    calendly_has(SUBSCRIPTION)
    stripe_has(ENDPOINT)
    call_command("setup_webhooks")
    assert made() == []


@responses.activate
def test_a_disabled_subscription_is_made_anew():
    calendly_has(SUBSCRIPTION | {"state": "disabled"})
    stripe_has(ENDPOINT)
    responses.delete(f"{CALENDLY}/webhook_subscriptions/WS1", status=204)
    responses.post(f"{CALENDLY}/webhook_subscriptions", json={"resource": SUBSCRIPTION}, status=201)
    call_command("setup_webhooks")
    assert made() == [f"DELETE {CALENDLY}/webhook_subscriptions/WS1", f"POST {CALENDLY}/webhook_subscriptions"]


@responses.activate
def test_a_refusal_is_told_without_a_traceback():
    refusal = {"title": "Permission Denied", "message": "Please upgrade to a paid Calendly account."}
    responses.get(f"{CALENDLY}/webhook_subscriptions", json=refusal, status=403)
    with pytest.raises(CommandError, match="Please upgrade"):
        call_command("setup_webhooks")


@pytest.mark.django_db
def test_sweep_does_what_is_due_and_says_how_much(capsys):
    keep("stripe", "some.type", "evt_1", b'{"id": "evt_1"}')
    Delivery.objects.update(next_at="2026-01-01T00:00:00Z")
    call_command("sweep")
    call_command("sweep")
    assert capsys.readouterr().out == "1 done\n0 done\n"
    assert Delivery.objects.get().state == "parked"
