"""The local providers, once for all tests, and a fresh world for each.

Pytest may read this file before Django is set up, so whatever has to do with models is imported late.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as configured
from django.core.management import call_command
from pytest_django.fixtures import Settings

from sandbox.calendly.app import Calendly
from sandbox.faults import Faults
from sandbox.serving import running
from sandbox.state import State
from sandbox.stripe.app import local_stripe

if TYPE_CHECKING:
    from webhooks.tests.world import World


@pytest.fixture(scope="session")
def _providers(django_db_setup: None) -> Iterator[tuple[str, str, Callable[[], None]]]:
    """The bases of Calendly and Stripe, and what makes them as new: nothing goes wrong, and no letter is sent.

    They end before the database does: their couriers keep connections to the live server, and it to the database.
    """
    states = [State(seed=name) for name in ("calendly", "stripe")]
    faults = [Faults(state.seed) for state in states]
    calendly = Calendly(states[0], faults[0], token=configured.CALENDLY_API_TOKEN)
    stripe = local_stripe(
        *(states[1], faults[1]),
        secret_key=configured.STRIPE_SECRET_KEY,
        webhook_secret=configured.STRIPE_WEBHOOK_SECRETS[0],
    )

    def as_new() -> None:
        for state, fault in zip(states, faults, strict=True):
            state.reset(seed=state.seed, keep=())
            fault.configure({"seed": state.seed, "rates": {"drop": 1.0}, "next": []})

    with ExitStack() as stack:
        bases = [stack.enter_context(running(one.app, one.courier, tick=one.tick)) for one in (calendly, stripe)]
        yield bases[0], bases[1], as_new


@pytest.fixture
def world(
    _providers: tuple[str, str, Callable[[], None]], db: None, settings: Settings, request: pytest.FixtureRequest
) -> "World":
    """Both providers as new and known to the service, their webhooks subscribed to, the demo's offers loaded.

    In a test with a live server that is where the letters would go.
    """
    from bookings.demo import load_offers
    from webhooks.tests.world import Provider, World

    calendly, stripe, as_new = _providers
    as_new()
    settings.CALENDLY_API_BASE, settings.STRIPE_API_BASE = calendly, stripe
    settings.CALENDLY_ORGANIZATION = f"{calendly}/organizations/SANDBOX"
    if "live_server" in request.fixturenames:
        settings.PUBLIC_URL = request.getfixturevalue("live_server").url
    call_command("setup_webhooks")
    load_offers()
    return World(Provider(calendly), Provider(stripe))
