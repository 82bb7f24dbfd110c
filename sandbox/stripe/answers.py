"""From the books to an answer: pages of lists, and objects put in place of their ids (`expand[]`)."""

import copy
from collections.abc import Callable, Iterable

from sandbox.state import Json
from sandbox.stripe.errors import StripeError, no_such
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.shapes import listed

EXPANDS = {
    ("checkout.session", "payment_intent"): "payment_intent",
    ("payment_intent", "latest_charge"): "charge",
    ("charge", "payment_intent"): "payment_intent",
    ("charge", "balance_transaction"): "balance_transaction",
    ("refund", "payment_intent"): "payment_intent",
    ("refund", "charge"): "charge",
    ("refund", "balance_transaction"): "balance_transaction",
    ("refund", "failure_balance_transaction"): "balance_transaction",
    ("dispute", "payment_intent"): "payment_intent",
    ("dispute", "charge"): "charge",
}
"""Which field of which object holds the id of what."""

DEEPEST = 4
DEFAULT_LIMIT = 10


def page(rows: Iterable[Json], asked: Json, *, kind: str, url: str) -> Json:
    """One page, newest first. `rows` are in the order in which they were made, and already filtered."""
    newest_first = list(rows)[::-1]
    limit = asked.get("limit", DEFAULT_LIMIT)
    places = {row["id"]: place for place, row in enumerate(newest_first)}
    for cursor in ("starting_after", "ending_before"):
        if cursor in asked and asked[cursor] not in places:
            raise no_such(kind, asked[cursor], param=cursor, status=400)
    if "starting_after" in asked and "ending_before" in asked:
        raise StripeError("You may only specify one of these parameters: ending_before, starting_after.")
    if "ending_before" in asked:
        before = newest_first[: places[asked["ending_before"]]]
        return listed(before[-limit:], has_more=len(before) > limit, url=url)
    after = newest_first[places[asked["starting_after"]] + 1 :] if "starting_after" in asked else newest_first
    return listed(after[:limit], has_more=len(after) > limit, url=url)


def within(created: dict[str, int] | None) -> Callable[[Json], bool]:
    """Whether an object was made within the bounds of a `created` filter."""
    bounds = created or {}
    least = max(bounds.get("gte", 0), bounds.get("gt", -1) + 1)
    most = min(bounds.get("lte", 1 << 62), bounds.get("lt", 1 << 62) - 1)
    return lambda row: least <= int(row["created"]) <= most


def expanded(ledger: Ledger, answer: Json, paths: Iterable[str]) -> Json:
    """A copy of the answer in which these paths hold objects, not ids. Raises StripeError for a path that cannot."""
    whole = copy.deepcopy(answer)
    for path in paths:
        steps = path.split(".")
        if len(steps) > DEEPEST:
            raise StripeError(f"You cannot expand more than {DEEPEST} levels of a property. Property: {path}")
        _expand(ledger, whole, steps, path)
    return whole


def _expand(ledger: Ledger, here: Json, steps: list[str], path: str) -> None:
    step, rest = steps[0], steps[1:]
    if here["object"] == "list":
        if step != "data":
            raise StripeError(
                f"This property cannot be expanded ({path}). You may want to try expanding 'data.{path}'."
            )
        for row in here["data"]:
            _expand(ledger, row, rest, path)
        return
    if here["object"] == "checkout.session" and step == "line_items":
        here["line_items"] = line_items(ledger, here["id"], {})
        return
    if here["object"] == "charge" and step == "refunds":
        of_charge = [refund for refund in ledger.rows("refund").values() if refund["charge"] == here["id"]]
        url = f"/v1/charges/{here['id']}/refunds"
        here["refunds"] = copy.deepcopy(page(of_charge, {}, kind="refund", url=url))
        return
    kind = EXPANDS.get((here["object"], step))
    if kind is None:
        raise StripeError(f"This property cannot be expanded ({path}).")
    if isinstance(here.get(step), str):
        here[step] = copy.deepcopy(ledger.find(kind, here[step]))
    if rest and here.get(step) is not None:
        _expand(ledger, here[step], rest, path)


def line_items(ledger: Ledger, session_id: str, asked: Json) -> Json:
    """The lines of a Checkout session."""
    lines = ledger.rows("order")[session_id]["line_items"]
    return page(reversed(lines), asked, kind="item", url=f"/v1/checkout/sessions/{session_id}/line_items")
