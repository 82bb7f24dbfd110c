"""The account, its webhook endpoints, and what every answer and letter is made of."""

from typing import Any

from sandbox.state import Json
from sandbox.stripe import API_VERSION


def account() -> Json:
    """The one account that there is."""
    return {
        "id": "acct_1LocalSandbox0001",
        "object": "account",
        "business_type": None,
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": "sandbox@example.com",
        "metadata": {},
        "payouts_enabled": True,
        "settings": {
            "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
            "card_payments": {
                "statement_descriptor_prefix": None,
                "statement_descriptor_prefix_kana": None,
                "statement_descriptor_prefix_kanji": None,
            },
            "dashboard": {"display_name": "Local sandbox", "timezone": "Etc/UTC"},
            "payments": {
                "statement_descriptor": "LOCAL SANDBOX",
                "statement_descriptor_kana": None,
                "statement_descriptor_kanji": None,
            },
        },
        "type": "standard",
    }


def webhook_endpoint(endpoint_id: str, *, created: int, asked: Json) -> Json:
    """A webhook endpoint without its secret; `asked` are the checked parameters."""
    return {
        "id": endpoint_id,
        "object": "webhook_endpoint",
        "api_version": asked.get("api_version"),
        "application": None,
        "created": created,
        "description": asked.get("description") or None,
        "enabled_events": asked["enabled_events"],
        "livemode": False,
        "metadata": asked.get("metadata", {}),
        "status": "enabled",
        "url": asked["url"],
    }


def event(event_id: str, *, created: int, kind: str, data: Json, request: Json, pending: int) -> Json:
    """An event, in the account's own API version."""
    return {
        "id": event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": created,
        "data": data,
        "livemode": False,
        "pending_webhooks": pending,
        "request": request,
        "type": kind,
    }


def listed(rows: list[Any], *, has_more: bool, url: str) -> Json:
    """A page of a list."""
    return {"object": "list", "data": rows, "has_more": has_more, "url": url}
