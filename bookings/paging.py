"""Lists in pages, newest first: `{success, results, next, previous}` (DESIGN section 5)."""

from datetime import UTC, datetime
from typing import Any

from rest_framework.pagination import CursorPagination
from rest_framework.response import Response

from api.errors import InvalidRequest


class NewestFirst(CursorPagination):
    page_size = 50
    ordering = ("-created_at", "-pk")
    cursor_query_param = "cursor"

    def decode_cursor(self, request: Any) -> Any:
        try:
            cursor: Any = super().decode_cursor(request)
            if cursor and cursor.position is not None:
                # The framework would hand it to the database as it came.
                cursor = cursor._replace(position=_moment(cursor.position))
        except Exception as error:  # NotFound; a cursor is no address, so it is a bad value
            raise InvalidRequest(details={"fields": {"cursor": ["Not a cursor of ours."]}}) from error
        return cursor

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {"success": True, "results": data, "next": self.get_next_link(), "previous": self.get_previous_link()}
        )


def _moment(position: str) -> str:
    """The time in a cursor. ValueError or OverflowError if it is none."""
    moment = datetime.fromisoformat(position)
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return str(moment.astimezone(UTC))
