"""JSON as we answer it: decimals are exact numbers."""

import re
import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rest_framework.renderers import JSONRenderer
from rest_framework.utils.encoders import JSONEncoder

_MARK = secrets.token_hex(16)
"""Begins the strings that stand for numbers while encoding. Random, and never sent: no text of anybody's has it."""
_MARKED = re.compile(rf'"{_MARK}(-?\d+(?:\.\d+)?)"'.encode())


class _DecimalEncoder(JSONEncoder):
    def default(self, obj: Any) -> Any:
        if isinstance(obj, Decimal):
            if not obj.is_finite():
                raise ValueError(f"{obj} is not a JSON number")
            return f"{_MARK}{obj:f}"
        return super().default(obj)


class ExactJSONRenderer(JSONRenderer):
    """Writes a `Decimal` as a JSON number with the digits that it has: `Decimal("50.00")` as `50.00`.

    DRF would go through a binary float, and Python's encoder can write nothing else that is not an integer. So a
    decimal is written as a marked string, and the mark is taken off together with the quotes.
    """

    encoder_class = _DecimalEncoder

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return _MARKED.sub(rb"\1", super().render(data, accepted_media_type, renderer_context))
