from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from bookings.models import Builder


class Command(BaseCommand):
    help = "Adds an expert who offers sessions, and prints the id."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True)
        parser.add_argument("--email", required=True)
        parser.add_argument("--calendly-user", default="", metavar="URI", help="who hosts the sessions in Calendly")

    def handle(self, *args: Any, **options: Any) -> None:
        builder = Builder(name=options["name"], email=options["email"], calendly_user_uri=options["calendly_user"])
        try:
            builder.full_clean()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        builder.save()
        self.stdout.write(builder.id)
