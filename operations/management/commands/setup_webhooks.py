from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from api.calling import CallFailed
from bookings import calendly_api
from payments import stripe_api

CALENDLY_EVENTS = ("invitee.created", "invitee.canceled", "invitee_no_show.created", "invitee_no_show.deleted")


class Command(BaseCommand):
    help = (
        "Has both providers send their webhooks to PUBLIC_URL, where they do not yet. Prints the signing secret of a"
        " new Stripe endpoint, which belongs into STRIPE_WEBHOOK_SECRETS."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._calendly(f"{settings.PUBLIC_URL}/api/webhooks/calendly")
            self._stripe(f"{settings.PUBLIC_URL}/api/webhooks/stripe")
        except CallFailed as failure:
            raise CommandError(f"{failure.message} ({failure.status})") from failure

    def _calendly(self, url: str) -> None:
        """Calendly knows no update: a subscription that is disabled, or that lacks an event, is made anew."""
        if not settings.CALENDLY_WEBHOOK_SIGNING_KEYS:
            raise CommandError("CALENDLY_WEBHOOK_SIGNING_KEYS is not set.")
        for subscription in calendly_api.list_webhook_subscriptions():
            if subscription.callback_url == url:
                if subscription.state == "active" and set(CALENDLY_EVENTS) <= set(subscription.events):
                    return
                calendly_api.delete_webhook_subscription(subscription.subscription_id)
        calendly_api.create_webhook_subscription(url, CALENDLY_EVENTS, settings.CALENDLY_WEBHOOK_SIGNING_KEYS[0])

    def _stripe(self, url: str) -> None:
        if any(
            endpoint.url == url and endpoint.status == "enabled" for endpoint in stripe_api.list_webhook_endpoints()
        ):
            return
        _, secret = stripe_api.create_webhook_endpoint(url, stripe_api.WEBHOOK_EVENT_TYPES)
        if secret not in settings.STRIPE_WEBHOOK_SECRETS:
            self.stdout.write(f"STRIPE_WEBHOOK_SECRETS={secret}")
