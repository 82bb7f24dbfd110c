"""The providers and the world of the webhooks' tests."""

from webhooks.tests.conftest import _providers as _providers
from webhooks.tests.conftest import world as world
