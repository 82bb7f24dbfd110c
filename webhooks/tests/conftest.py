"""The local providers, once for all tests, and a fresh world for each.

Pytest may read this file before Django is set up, so whatever has to do with models is imported late.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
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


@dataclass(frozen=True)
class _Providers:
    calendly: str
    stripe: str
    states: tuple[State, State]
    faults: tuple[Faults, Faults]

    def as_new(self) -> None:
        """Nothing is there, nothing goes wrong, and no letter is sent."""
        for state, fault in zip(self.states, self.faults, strict=True):
            state.reset(seed=state.seed, keep=())
            fault.configure({"seed": state.seed, "rates": {"drop": 1.0}, "next": []})

    def remember(self) -> Callable[[], None]:
        """Keep all that they hold now; what is returned puts it back. Ids that were given are not given again."""
        kept = [copy.deepcopy(state.tables) for state in self.states]

        def put_back() -> None:
            for state, tables in zip(self.states, kept, strict=True):
                with state.changing():
                    state.tables = copy.deepcopy(tables)

        return put_back


@pytest.fixture(scope="session")
def _providers(django_db_setup: None) -> Iterator[_Providers]:
    """Both, running.

    They end before the database does: their couriers keep connections to the live server, and it to the database.
    """
    states = State(seed="calendly"), State(seed="stripe")
    faults = Faults("calendly"), Faults("stripe")
    calendly = Calendly(states[0], faults[0], token=configured.CALENDLY_API_TOKEN)
    stripe = local_stripe(
        *(states[1], faults[1]),
        secret_key=configured.STRIPE_SECRET_KEY,
        webhook_secret=configured.STRIPE_WEBHOOK_SECRETS[0],
    )

    with ExitStack() as stack:
        bases = [stack.enter_context(running(one.app, one.courier, tick=one.tick)) for one in (calendly, stripe)]
        yield _Providers(bases[0], bases[1], states, faults)


@pytest.fixture
def world(_providers: _Providers, db: None, settings: Settings, request: pytest.FixtureRequest) -> "World":
    """Both providers as new and known to the service, their webhooks subscribed to, the demo's offers loaded.

    In a test with a live server that is where the letters would go.
    """
    from bookings.demo import load_offers
    from webhooks.tests.world import Provider, World

    calendly, stripe = _providers.calendly, _providers.stripe
    _providers.as_new()
    settings.CALENDLY_API_BASE, settings.STRIPE_API_BASE = calendly, stripe
    settings.CALENDLY_ORGANIZATION = f"{calendly}/organizations/SANDBOX"
    if "live_server" in request.fixturenames:
        settings.PUBLIC_URL = request.getfixturevalue("live_server").url
    call_command("setup_webhooks")
    load_offers()
    return World(Provider(calendly), Provider(stripe), _providers.remember)
