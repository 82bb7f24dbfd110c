"""The routes of the API: who asks, what for, and the answer in Stripe's form."""

import base64
import binascii
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from flask import Blueprint, Response, request

from sandbox.faults import FaultyCalls
from sandbox.state import Json
from sandbox.stripe import API_VERSION, disputes, parameters, refunds, sessions, shapes
from sandbox.stripe.answers import expanded, line_items, page, within
from sandbox.stripe.clockwork import catch_up
from sandbox.stripe.errors import StripeError
from sandbox.stripe.forms import Check, unfold
from sandbox.stripe.idempotency import Answer, Keys
from sandbox.stripe.ledger import Cause, Ledger, cause

PREFIX = "/v1/"
EVENTS_KEPT_SECONDS = 30 * 86400


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API. `do` takes the ledger, the ids in the path and the checked parameters."""

    method: str
    path: str
    takes: Check
    do: Callable[[Ledger, tuple[str, ...], Json], Json]


def _retrieve(kind: str, path: str) -> Call:
    return Call("GET", path, parameters.ONLY_EXPAND, lambda ledger, ids, asked: ledger.find(kind, ids[0]))


def _list(kind: str, path: str, takes: Check, *by: str) -> Call:
    """A list, filtered by `created` and by these fields."""

    def do(ledger: Ledger, ids: tuple[str, ...], asked: Json) -> Json:
        in_time = within(asked.get("created"))
        rows = [
            row
            for row in ledger.rows(kind).values()
            if in_time(row) and all(row[field] == asked[field] for field in by if field in asked)
        ]
        return page(rows, asked, kind=kind, url=path)

    return Call("GET", path, takes, do)


def _list_sessions(ledger: Ledger, ids: tuple[str, ...], asked: Json) -> Json:
    in_time, payer = within(asked.get("created")), asked.get("customer_details", {}).get("email")
    rows = [
        row
        for row in ledger.rows("checkout.session").values()
        if in_time(row)
        and all(row[field] == asked[field] for field in ("payment_intent", "status") if field in asked)
        and (payer is None or (row["customer_details"] or {}).get("email") == payer)
    ]
    return page(rows, asked, kind="checkout.session", url="/v1/checkout/sessions")


def _list_line_items(ledger: Ledger, ids: tuple[str, ...], asked: Json) -> Json:
    return line_items(ledger, ledger.find("checkout.session", ids[0])["id"], asked)


def _list_events(ledger: Ledger, ids: tuple[str, ...], asked: Json) -> Json:
    if "type" in asked and "types" in asked:
        raise StripeError("You may only specify one of these parameters: type, types.", param="types")
    kinds = {asked["type"]} if "type" in asked else set(asked.get("types", []))
    in_time, oldest = within(asked.get("created")), ledger.now() - EVENTS_KEPT_SECONDS
    rows = [
        event
        for event in ledger.rows("event").values()
        if event["created"] >= oldest
        and in_time(event)
        and (not kinds or _named(event["type"], kinds))
        and asked.get("delivery_success") in (None, ledger.events.delivered_everywhere(event["id"]))
    ]
    return page(rows, asked, kind="event", url="/v1/events")


def _named(kind: str, wanted: set[str]) -> bool:
    """Whether the event's type is wanted; `charge.*` names a group."""
    return kind in wanted or any(one.endswith(".*") and kind.startswith(one[:-1]) for one in wanted)


def _open_session(ledger: Ledger, ids: tuple[str, ...], asked: Json) -> Json:
    return sessions.open_session(ledger, asked, base=request.host_url.rstrip("/"))


CALLS = [
    Call("GET", "/v1/account", parameters.ONLY_EXPAND, lambda ledger, ids, asked: shapes.account()),
    Call("POST", "/v1/checkout/sessions", parameters.CREATE_SESSION, _open_session),
    Call("GET", "/v1/checkout/sessions", parameters.LIST_SESSIONS, _list_sessions),
    _retrieve("checkout.session", "/v1/checkout/sessions/{id}"),
    Call("GET", "/v1/checkout/sessions/{id}/line_items", parameters.LIST_LINE_ITEMS, _list_line_items),
    Call(
        "POST",
        "/v1/checkout/sessions/{id}/expire",
        parameters.ONLY_EXPAND,
        lambda ledger, ids, asked: sessions.expire(ledger, ledger.find("checkout.session", ids[0])),
    ),
    _list("payment_intent", "/v1/payment_intents", parameters.LIST_PAYMENT_INTENTS),
    _retrieve("payment_intent", "/v1/payment_intents/{id}"),
    _list("charge", "/v1/charges", parameters.LIST_CHARGES, "payment_intent"),
    _retrieve("charge", "/v1/charges/{id}"),
    Call("POST", "/v1/refunds", parameters.CREATE_REFUND, lambda ledger, ids, asked: refunds.create(ledger, asked)),
    _list("refund", "/v1/refunds", parameters.LIST_REFUNDS, "payment_intent", "charge"),
    _retrieve("refund", "/v1/refunds/{id}"),
    Call(
        "POST",
        "/v1/refunds/{id}/cancel",
        parameters.ONLY_EXPAND,
        lambda ledger, ids, asked: refunds.cancel(ledger, ledger.find("refund", ids[0])),
    ),
    _list("dispute", "/v1/disputes", parameters.LIST_DISPUTES, "payment_intent", "charge"),
    _retrieve("dispute", "/v1/disputes/{id}"),
    Call(
        "POST",
        "/v1/disputes/{id}",
        parameters.UPDATE_DISPUTE,
        lambda ledger, ids, asked: disputes.update(ledger, ledger.find("dispute", ids[0]), asked),
    ),
    Call(
        "POST",
        "/v1/disputes/{id}/close",
        parameters.ONLY_EXPAND,
        lambda ledger, ids, asked: disputes.close(ledger, ledger.find("dispute", ids[0])),
    ),
    Call("GET", "/v1/events", parameters.LIST_EVENTS, _list_events),
    _retrieve("event", "/v1/events/{id}"),
    _list(
        "balance_transaction",
        "/v1/balance_transactions",
        parameters.LIST_BALANCE_TRANSACTIONS,
        "source",
        "type",
        "currency",
    ),
    _retrieve("balance_transaction", "/v1/balance_transactions/{id}"),
    Call(
        "POST",
        "/v1/webhook_endpoints",
        parameters.CREATE_ENDPOINT,
        lambda ledger, ids, asked: ledger.events.create_endpoint(asked),
    ),
    _list("webhook_endpoint", "/v1/webhook_endpoints", parameters.LIST_ENDPOINTS),
    _retrieve("webhook_endpoint", "/v1/webhook_endpoints/{id}"),
    Call(
        "POST",
        "/v1/webhook_endpoints/{id}",
        parameters.UPDATE_ENDPOINT,
        lambda ledger, ids, asked: ledger.events.update_endpoint(ids[0], asked),
    ),
    Call(
        "DELETE",
        "/v1/webhook_endpoints/{id}",
        parameters.ONLY_EXPAND,
        lambda ledger, ids, asked: ledger.events.delete_endpoint(ids[0]),
    ),
]


def api(ledger: Ledger, keys: Keys, secret_key: str) -> Blueprint:
    """Everything under `/v1/`, for holders of the key."""
    blueprint = Blueprint("api", __name__)

    @blueprint.route(f"{PREFIX}<path:rest>", methods=["GET", "POST", "DELETE", "PUT", "PATCH"])
    def _call(rest: str) -> Response:
        request_id = ledger.state.new_id("req_", 14)
        try:
            _check_caller(secret_key)
            answer = _answer(ledger, keys, request_id)
        except StripeError as refusal:
            answer = Answer(refusal.status, refusal.body)
        return respond(answer, request_id)

    return blueprint


def respond(answer: Answer, request_id: str) -> Response:
    """The answer with Stripe's headers."""
    response = Response(json.dumps(answer.body, indent=2) + "\n", answer.status, content_type="application/json")
    response.headers["Request-Id"] = request_id
    response.headers["Stripe-Version"] = API_VERSION
    if "Idempotency-Key" in request.headers:
        response.headers["Idempotency-Key"] = request.headers["Idempotency-Key"]
    if answer.replay_of:
        response.headers["Idempotent-Replayed"] = "true"
        response.headers["Original-Request"] = answer.replay_of
    return response


def _answer(ledger: Ledger, keys: Keys, request_id: str) -> Answer:
    call, ids = _route(request.method, request.path)
    pairs = _pairs()
    key = request.headers.get("Idempotency-Key") if request.method == "POST" else None

    def run() -> Json:
        token = cause.set(Cause(request_id, key))
        try:
            catch_up(ledger)
            asked = call.takes(unfold(pairs), "")
            return expanded(ledger, call.do(ledger, ids, asked), asked.get("expand", []))
        finally:
            cause.reset(token)

    fault = request.environ.get(FaultyCalls.FAULT)
    if request.method == "GET":
        return keys.read(run, fault)
    return keys.answer(
        key,
        path=request.path,
        asked=json.dumps(sorted(pairs)),
        request_id=request_id,
        run=run,
        fault=fault,
    )


def _route(method: str, path: str) -> tuple[Call, tuple[str, ...]]:
    for call in CALLS:
        found = re.fullmatch(re.sub(r"\{\w+\}", "([^/]+)", call.path), path)
        if found and call.method == method:
            return call, found.groups()
    raise StripeError(
        f"Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove the trailing slash."
        " If you are trying to retrieve an object, make sure you passed a valid (non-empty) identifier in your code."
        " (The local sandbox knows a part of Stripe's API only.)",
        status=404,
    )


def _pairs() -> list[tuple[str, str]]:
    """The parameters as they came: the query's, and the form's."""
    kind = request.mimetype
    body = request.get_data()
    if body and kind != "application/x-www-form-urlencoded":
        raise StripeError(
            "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If you have any"
            " questions, we can help at https://support.stripe.com/."
        )
    try:
        pairs: list[Any] = [
            *parse_qsl(request.query_string.decode(), keep_blank_values=True, errors="strict"),
            *parse_qsl(body.decode(), keep_blank_values=True, errors="strict"),
        ]
    except ValueError:  # a UnicodeDecodeError is one too
        raise StripeError("Invalid request: the parameters are not UTF-8.") from None
    return pairs


def _check_caller(secret_key: str) -> None:
    """Raise StripeError unless the caller has the key and speaks our version."""
    scheme, _, told = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            told = base64.b64decode(told).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            told = ""
    if not told or scheme.lower() not in ("basic", "bearer"):
        raise StripeError(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer"
            " auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            status=401,
        )
    if not hmac.compare_digest(told.encode(), secret_key.encode()):
        raise StripeError(f"Invalid API Key provided: {told[:8]}****{told[-4:]}", status=401)
    version = request.headers.get("Stripe-Version", API_VERSION)
    if version != API_VERSION:
        raise StripeError(f"Invalid Stripe API version: {version} (the local sandbox speaks {API_VERSION} only)")
