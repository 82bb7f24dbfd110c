"""Which renderer answers: JSON, or 406."""

from collections.abc import Iterable

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from api.errors import NotAcceptable


class ContentNegotiation(DefaultContentNegotiation):
    """The framework's own, except that an Accept header which cannot be read is a 406 and no crash.

    `Accept: application/json; x*=a; x*0=b` ends in a TypeError in Python's email package.
    """

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        try:
            renderer, media_type = super().select_renderer(request, renderers, format_suffix)
        except (TypeError, ValueError):
            raise NotAcceptable from None
        return renderer, media_type
