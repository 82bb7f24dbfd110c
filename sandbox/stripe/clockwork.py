"""What happens at Stripe because time has passed."""

from collections.abc import Callable

from sandbox.stripe import payments, refunds, sessions
from sandbox.stripe.ledger import Ledger

DOES: dict[str, Callable[[Ledger, str], None]] = {
    "expire_session": sessions.expire_by_clock,
    "settle_charge": payments.settle_charge,
    "give_reference": refunds.give_reference,
}

FOLLOW_UPS = ("settle_charge", "give_reference")
"""What Stripe does some seconds after a call or a payment; a session's end is not among it."""


def catch_up(ledger: Ledger, *, follow_ups_too: bool = False) -> None:
    """Do what is due, in the order in which it became due; and what would only follow in some seconds, if asked to.

    Called before each call and each look at a page, so that nobody sees an open session that has expired.
    """
    with ledger.state.lock:
        now = ledger.state.now()
        due = sorted(
            (row["due"], key)
            for key, row in ledger.rows("later").items()
            if row["due"] <= now or (follow_ups_too and row["what"] in FOLLOW_UPS)
        )
        if not due:
            return
        with ledger.state.changing():
            for _, key in due:
                row = ledger.rows("later").pop(key, None)
                if row is not None:
                    DOES[row["what"]](ledger, row["about"])
