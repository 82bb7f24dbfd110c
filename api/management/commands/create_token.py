from argparse import ArgumentTypeError
from typing import Any

from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import transaction

from api.accounts import TOKEN_DAYS, issue_token, may_use_api, user_of


class Command(BaseCommand):
    help = "Prints a new API token for the user with this e-mail address, and nothing else. Makes the user if needed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", type=_email)
        parser.add_argument("--days", type=_days, default=TOKEN_DAYS, help="how long the token lives (%(default)s)")
        parser.add_argument(
            "--back-end", action="store_true", help="the user is the marketplace's back end and may act for any client"
        )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        user = user_of(options["email"])
        if not may_use_api(user):
            raise CommandError(f"{user.username} is staff or not active: no API token (api/accounts.py says why).")
        if options["back_end"]:
            user.user_permissions.add(_act_for_clients())
        token, _ = issue_token(user, days=options["days"])
        self.stdout.write(token)


def _email(text: str) -> str:
    try:
        validate_email(text)
    except ValidationError:
        raise ArgumentTypeError(f"{text!r} is not an e-mail address") from None
    if len(text) > 150:  # a user name of Django's has no room for more
        raise ArgumentTypeError("an e-mail address of more than 150 characters cannot be a user name")
    return text


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 3650:
        raise ArgumentTypeError("between 1 and 3650")
    return days


def _act_for_clients() -> Permission:
    """The permission by which a back end acts for any client. It belongs to `bookings`, which api does not import."""
    try:
        return Permission.objects.get(content_type__app_label="bookings", codename="act_for_clients")
    except Permission.DoesNotExist:
        raise CommandError("The permission bookings.act_for_clients does not exist: run `migrate` first.") from None
