from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from api.calling import CallFailed
from bookings.demo import load_offers, load_people


class Command(BaseCommand):
    help = "Makes the demo client, the demo staff member and the demo session types. Doing it twice changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demo's passwords are public: it is not loaded with DEBUG off.")
        load_people()
        try:
            load_offers()
        except CallFailed as failure:
            raise CommandError(f"Calendly's event types could not be read: {failure.message}") from failure
