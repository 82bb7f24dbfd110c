"""Lists in pages, newest first: `{success, results, next, previous}` (DESIGN section 5)."""

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
            return super().decode_cursor(request)
        except Exception as error:  # NotFound; a cursor is no address, so it is a bad value
            raise InvalidRequest(details={"fields": {"cursor": ["Not a cursor of ours."]}}) from error

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {"success": True, "results": data, "next": self.get_next_link(), "previous": self.get_previous_link()}
        )
