import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet
from django.utils import timezone
from tqdm import tqdm

from api.calling import CallFailed
from operations.books import Finding, findings, flows
from operations.books_at_stripe import compared_with_stripe, payments_of


class Command(BaseCommand):
    help = (
        "Checks what must always hold (LIFECYCLE 8), and prints what does not, one finding a line: the invariant, the"
        " flow, the object, and what is wrong. Changes nothing. Exit code 2 if anything does not hold."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object a line")
        parser.add_argument("--recent", type=int, metavar="HOURS", help="only flows that changed since, or are overdue")
        parser.add_argument("--providers", action="store_true", help="also compare our sums with Stripe's objects")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exits with 0 or 2."""
        now = timezone.now()
        since = now - timedelta(hours=options["recent"]) if options["recent"] is not None else None
        found = 0
        try:
            for finding in _everything(now, since, providers=options["providers"]):
                found += 1
                # Above the progress bar, if there is one.
                with tqdm.external_write_mode():
                    self.stdout.write(_as_json(finding) if options["json"] else str(finding))
        except CallFailed as failure:
            raise CommandError(f"Stripe could not be read: {failure.message}", returncode=2) from failure
        if found:
            raise SystemExit(2)


def _everything(now: datetime, since: datetime | None, *, providers: bool) -> Iterator[Finding]:
    to_check = flows(now, since)
    with _progress(to_check, "flow") as checked:
        yield from findings(now, since, checked)
    if providers:
        payments = payments_of(to_check)
        with _progress(payments, "payment") as compared:
            yield from compared_with_stripe(payments, compared)


@contextmanager
def _progress(rows: QuerySet[Any], unit: str) -> Iterator[Callable[[], object]]:
    """A bar on the terminal, and nothing where there is none; to be told of each row that is done."""
    with tqdm(total=rows.count(), unit=unit, leave=False, disable=None) as bar:
        yield bar.update


def _as_json(finding: Finding) -> str:
    return json.dumps(
        {
            "invariant": finding.invariant,
            "flow": finding.flow_id,
            "object": finding.object_id,
            "text": finding.text,
        }
    )
