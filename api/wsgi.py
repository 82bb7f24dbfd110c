"""Django's WSGI handler, made safe against the header that it reads before its first middleware runs."""

from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters


class Request(WSGIRequest):
    """A request that no Content-Type can break.

    Django's own raises while it is being made, which the web server answers with a bare 500, on `x*=nonsense''a` or
    `x*=a; x*0=b` (email's parser); and, because a charset there makes it read the query string at once, and by that
    codec, on `charset=base64` with `?q=%ff` and on any charset with 1,001 parameters. Ours are UTF-8 always.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except Exception:
            # Something that no parser accepts, also for those who read the header again.
            meta["CONTENT_TYPE"] = "application/x-unreadable"
            self.content_type, self.content_params = meta["CONTENT_TYPE"], {}


class Handler(WSGIHandler):
    request_class = Request
