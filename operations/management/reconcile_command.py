"""What `reconcile`, `reconcile_calendly` and `reconcile_stripe` share."""

import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q
from django.utils import timezone

from bookings.models import BookingFlow
from operations.reconciling import Findings, Side

DAYS_BACK = 30
"""As long as Stripe keeps its events."""


class ReconcileCommand(BaseCommand):
    """Prints one line for each thing that was new (`new`) or is left for a person (`left`), and a summary.

    Exits with 0 if both sides agreed, 1 if what was new is recorded, 2 if something is left for a person.
    """

    sides: Sequence[Side]

    def add_arguments(self, parser: CommandParser) -> None:
        what = "only what Stripe made, and what starts at Calendly,"
        since = f"{what} from then on; default: {DAYS_BACK} days ago"
        parser.add_argument("--since", type=_moment, metavar="ISO", help=since)
        parser.add_argument("--until", type=_moment, metavar="ISO", help=f"{what} until then; default: no end")
        parser.add_argument("--booking", metavar="ID", help="all of one booking's flow, and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = Findings(self.stdout.write)
        if options["booking"]:
            if options["since"] or options["until"]:
                raise CommandError("--booking reads all of it: leave out --since and --until.")
            flow_id = _flow_of(options["booking"])
            for side in self.sides:
                side.flow(findings, flow_id)
        else:
            since = options["since"] or timezone.now() - timedelta(days=DAYS_BACK)
            if options["until"] and options["until"] <= since:
                raise CommandError("--until must be later than --since.")
            for side in self.sides:
                side.everything(findings, since, options["until"])
        self.stdout.write(findings.summary)
        if findings.exit_code:
            sys.exit(findings.exit_code)


def _flow_of(booking_id: str) -> str:
    flow = BookingFlow.objects.filter(Q(pk=booking_id) | Q(bookings__pk=booking_id)).first()
    if flow is None:
        raise CommandError(f"There is no booking or flow {booking_id}.")
    return flow.pk


def _moment(text: str) -> datetime:
    """A date, or a date and time; UTC unless it says otherwise."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not an ISO date and time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
