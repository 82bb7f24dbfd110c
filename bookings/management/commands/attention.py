import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from bookings.models import Attention
from bookings.serializers import utc


class Command(BaseCommand):
    help = "Lists what a person must look at, the oldest first. Exit code 2 if there is anything."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = Attention.objects.filter(closed_at=None).order_by("opened_at", "pk")
        for row in rows.iterator():
            told = {
                "kind": row.kind,
                "object": row.object_id,
                "flow": row.flow_id,
                "openedAt": utc(row.opened_at),
                "text": row.text,
            }
            line = (
                json.dumps(told)
                if options["json"]
                else f"{told['openedAt']}  {row.kind:22} {row.object_id}  {row.text}"
            )
            self.stdout.write(line)
        if rows.exists():
            raise SystemExit(2)
