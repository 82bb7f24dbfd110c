from argparse import ArgumentTypeError
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from bookings import money
from bookings.invitees import id_of
from bookings.models import Builder, CancellationPolicy, SessionType
from bookings.models.catalogue import standard_tiers


class Command(BaseCommand):
    help = "Adds a session type for one of Calendly's event types, and prints the id."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--builder", required=True, metavar="ID")
        parser.add_argument("--name", required=True)
        parser.add_argument("--description", default="")
        parser.add_argument("--duration-minutes", required=True, type=int, metavar="N")
        parser.add_argument("--price", required=True, metavar="MAJOR", help="such as 120 or 90.50; 0 is free")
        parser.add_argument("--currency", required=True, help="ISO code, such as USD")
        parser.add_argument("--event-type", required=True, metavar="URI", help="of Calendly's event type")
        parser.add_argument("--scheduling-url", required=True, metavar="URL", help="Calendly's page for it")
        parser.add_argument("--hold-minutes", type=_minutes, metavar="N", help="default: the setting HOLD_MINUTES")
        parser.add_argument("--policy", type=_tiers, metavar="HOURS:PERCENT,...", help='default "24:100,12:50"')
        parser.add_argument("--active-since", type=_moment, metavar="ISO", help="default: now")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        builder = Builder.objects.filter(pk=options["builder"]).first()
        if builder is None:
            raise CommandError(f"There is no builder {options['builder']}.")
        try:
            session_type = SessionType(
                builder=builder,
                name=options["name"],
                description=options["description"],
                duration_minutes=options["duration_minutes"],
                price_minor=money.from_major(Decimal(options["price"]), options["currency"]),
                currency=options["currency"],
                event_type_uri=options["event_type"],
                event_type_id=id_of(options["event_type"]),
                scheduling_url=options["scheduling_url"],
                hold_seconds=options["hold_minutes"],
                active_since=options["active_since"] or timezone.now(),
                policy=_policy(options["policy"] or standard_tiers()),
            )
            session_type.full_clean()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        except (InvalidOperation, ValueError) as error:
            raise CommandError(f"Not accepted: {error}") from None
        session_type.save()
        self.stdout.write(session_type.id)


def _policy(tiers: list[dict[str, int]]) -> CancellationPolicy:
    """The policy with these tiers; made if there is none yet."""
    policy = CancellationPolicy.objects.filter(tiers=tiers).first()
    if policy is None:
        name = ", ".join(f"{tier['percent']} % from {tier['hours']} h" for tier in tiers)
        policy = CancellationPolicy(name=name[:100], tiers=tiers)
        policy.full_clean()
        policy.save()
    return policy


def _minutes(text: str) -> int:
    """Minutes, a fraction allowed, as whole seconds."""
    try:
        seconds = int(Decimal(text) * 60)
    except (InvalidOperation, ValueError, OverflowError):
        raise ArgumentTypeError(f"{text!r} is not a number of minutes") from None
    if not 0 < seconds <= 24 * 3600:
        raise ArgumentTypeError("a hold lasts more than nothing and at most a day")
    return seconds


def _tiers(text: str) -> list[dict[str, int]]:
    try:
        pairs = [part.split(":") for part in text.split(",")]
        return [{"hours": int(hours), "percent": int(percent)} for hours, percent in pairs]
    except ValueError:
        raise ArgumentTypeError(f'{text!r} is not a policy such as "24:100,12:50"') from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not an ISO date and time") from None
    if moment.tzinfo is None:
        raise ArgumentTypeError("the time needs an offset, such as 2026-11-23T10:00:00Z")
    return moment
