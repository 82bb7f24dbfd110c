"""Fixtures of the local Stripe's tests."""

from collections.abc import Callable, Iterator

import pytest

from sandbox.tests.test_stripe.house import House, Letterbox, a_house, a_letterbox


@pytest.fixture(scope="session")
def _running() -> Iterator[tuple[House, Callable[[], None]]]:
    with a_house() as running:
        yield running


@pytest.fixture
def house(_running: tuple[House, Callable[[], None]]) -> Iterator[House]:
    """A local Stripe, as new for each test. Its books are checked when the test is over."""
    house, as_new = _running
    as_new()
    yield house
    house.check_books()


@pytest.fixture
def box() -> Iterator[Letterbox]:
    """A letterbox for webhooks."""
    with a_letterbox() as box:
        yield box
