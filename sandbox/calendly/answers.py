"""How Calendly's API says no, and how it gives long lists in pages."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Response, jsonify, request
from werkzeug.exceptions import HTTPException

from sandbox.calendly.resources import absolute
from sandbox.state import Json

TITLES = {
    400: "Invalid Argument",
    401: "Unauthenticated",
    403: "Permission Denied",
    404: "Resource Not Found",
    409: "Already Exists",
    500: "Internal Server Error",
}
MESSAGES = {
    400: "The supplied parameters are invalid.",
    401: "The access token is invalid",
    403: "You do not have permission to access this resource.",
    404: "The server could not find the requested resource.",
    500: "The server encountered an unexpected condition that prevented it from fulfilling the request.",
}


class Refusal(HTTPException):
    """An answer that is a no: `details` are pairs of a parameter and what is wrong with it."""

    def __init__(self, status: int, message: str | None = None, *details: tuple[str, str]) -> None:
        super().__init__()
        self.code = status
        body: Json = {"title": TITLES[status], "message": message or MESSAGES.get(status, "")}
        if details:
            body["details"] = [{"parameter": parameter, "message": wrong} for parameter, wrong in details]
        self.body = body

    def get_response(self, *_args: Any, **_kwargs: Any) -> Response:
        """The body in JSON, also where no request is being handled."""
        return Response(json.dumps(self.body), self.code, content_type="application/json")


def invalid(parameter: str, wrong: str) -> Refusal:
    """A 400 that names one parameter."""
    return Refusal(400, None, (parameter, wrong))


def base() -> str:
    """The origin under which we were asked; all URIs in the answer begin with it."""
    return request.host_url.rstrip("/")


def one(resource: Json, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The answer about a single object."""
    answer = jsonify(resource=absolute(base(), resource))
    answer.status_code = status
    answer.headers.update(headers or {})
    return answer


def many(found: Sequence[Json]) -> Response:
    """The page of a list that the query's `count` and `page_token` ask for."""
    try:
        count = int(request.args.get("count", "20"))
    except ValueError:
        count = 0
    if not 1 <= count <= 100:
        raise invalid("count", "must be between 1 and 100")
    begin = _begin_of(request.args.get("page_token", ""))
    following = _token(begin + count) if begin + count < len(found) else None
    preceding = _token(max(0, begin - count)) if begin > 0 else None
    pagination: dict[str, Any] = {
        "count": len(found[begin : begin + count]),
        "next_page": following and _page_url(following),
        "previous_page": preceding and _page_url(preceding),
        "next_page_token": following,
        "previous_page_token": preceding,
    }
    return jsonify(collection=absolute(base(), list(found[begin : begin + count])), pagination=pagination)


def _token(begin: int) -> str:
    """Nothing that a reader could guess the next one from."""
    return base64.urlsafe_b64encode(f"from:{begin}".encode()).decode().rstrip("=")


def _begin_of(token: str) -> int:
    if not token:
        return 0
    try:
        word, _, begin = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode().partition(":")
        if word == "from":
            return int(begin)
    except (ValueError, binascii.Error):
        pass
    raise invalid("page_token", "is invalid")


def _page_url(token: str) -> str:
    query = {**request.args.to_dict(), "page_token": token}
    return f"{request.base_url}?{urlencode(query)}"
