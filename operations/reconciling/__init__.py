"""Reading everything back from both providers: hearing late what a webhook should have told us.

What is read is recorded by the same `record_*` functions as webhooks, and settled; there are no rules here. Nothing is
concluded from what a list does not show: what we hold and it does not is read by its id. Nothing is refunded or
cancelled here either: what follows from the news is due afterwards, and the worker's.
"""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from operations.reconciling.calendly import reconcile_calendly, reconcile_calendly_flow
from operations.reconciling.findings import Findings
from operations.reconciling.stripe import reconcile_stripe, reconcile_stripe_flow

__all__ = ["BOTH", "CALENDLY", "STRIPE", "Findings", "Side"]


class Side(NamedTuple):
    """A provider, and the two ways to read it."""

    everything: Callable[[Findings, datetime, datetime | None], None]
    """What Stripe made, or what starts at Calendly, since a time and until another (None: no end)."""
    flow: Callable[[Findings, str], None]
    """What belongs to one flow."""


CALENDLY = Side(reconcile_calendly, reconcile_calendly_flow)
STRIPE = Side(reconcile_stripe, reconcile_stripe_flow)
BOTH = (STRIPE, CALENDLY)
"""Money first: when we hear that a flow has ended, we should know what went back already (LIFECYCLE R36)."""
