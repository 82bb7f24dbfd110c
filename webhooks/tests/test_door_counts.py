"""What a webhook request costs: at most four statements, no call to anybody, nothing for dj-stripe."""

import socket
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from webhooks.models import Delivery
from webhooks.tests.letters import PROVIDERS, letter_of, post, raw

pytestmark = pytest.mark.django_db

MOST_STATEMENTS = 4
FRAMES = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Whom Python tries to reach, or looks up, while the test runs; nobody answers.

    The connection to PostgreSQL is not Python's: libpq makes it.
    """
    tried: list[Any] = []

    def refuse(*arguments: Any, **_more: Any) -> None:
        tried.append(arguments)
        raise ConnectionRefusedError("no calls from here")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    return tried


def statements_of(provider: str, body: bytes, status: int = 200, header: str | None = None) -> list[str]:
    """The SQL of a whole request, but for the frames of its transaction."""
    with CaptureQueriesContext(connection) as queries:
        response = post(provider, body, header)
    assert response.status_code == status, response.content
    statements = [query["sql"] for query in queries.captured_queries]
    return [statement for statement in statements if not statement.startswith(FRAMES)]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_webhook_costs_two_statements_and_calls_nobody(provider: str, dialled: list[Any]):
    body = raw(letter_of(provider))
    for _ in range(2):
        statements = statements_of(provider, body)
        assert [statement.split()[0] for statement in statements] == ["INSERT", "SELECT"]
        assert "webhooks_delivery" in statements[0]
        assert "procrastinate_defer_jobs" in statements[1]
        assert len(statements) <= MOST_STATEMENTS
        assert not any("djstripe" in statement for statement in statements)
    assert Delivery.objects.count() == 1
    assert dialled == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_webhook_that_is_refused_costs_nothing(provider: str, dialled: list[Any]):
    assert statements_of(provider, raw(letter_of(provider)), 400, header="t=1,v1=00") == []
    assert dialled == []


def test_the_guard_of_these_tests_sees_a_call(dialled: list[Any]):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 9))
    with pytest.raises(ConnectionRefusedError):
        socket.socket().connect(("127.0.0.1", 9))
    assert len(dialled) == 2
