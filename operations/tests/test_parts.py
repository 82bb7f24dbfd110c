"""Ports that two can start on at once, and what the sandbox and the service are told."""

import re
import socket

import pytest

from operations.parts import LOOPBACK, listens, new_keys, reserved_port, sandbox_environment

FIRST = 18650


def test_two_that_start_at_once_get_two_ports():
    with reserved_port(LOOPBACK, FIRST) as one, reserved_port(LOOPBACK, FIRST) as other:
        assert one != other
    with reserved_port(LOOPBACK, FIRST) as again:
        assert again == one


def test_a_port_where_somebody_listens_is_passed_over():
    with reserved_port(LOOPBACK, FIRST) as free:
        pass
    with socket.create_server((LOOPBACK, free)):
        assert listens(LOOPBACK, free)
        with reserved_port(LOOPBACK, FIRST) as port:
            assert port > free
            assert not listens(LOOPBACK, port)


def test_a_wanted_port_that_is_taken_is_a_clear_failure():
    with (
        reserved_port(LOOPBACK, FIRST) as taken,
        pytest.raises(OSError, match=f"Cannot use port {taken} on 127.0.0.1"),
        reserved_port(LOOPBACK, taken, tries=1),
    ):
        pass


def test_keys_look_like_the_providers_own_and_differ_each_time():
    keys = new_keys()

    assert re.fullmatch(r"sk_test_[0-9a-zA-Z]{24}", keys["STRIPE_SECRET_KEY"])
    assert keys["STRIPE_WEBHOOK_SECRETS"].startswith("whsec_")
    assert not set(keys.values()) & set(new_keys().values())


def test_the_service_and_the_sandbox_are_told_the_same():
    told = sandbox_environment(8001, 8002, new_keys())

    assert told["CALENDLY_API_BASE"] == "http://127.0.0.1:8001"
    assert told["CALENDLY_ORGANIZATION"] == "http://127.0.0.1:8001/organizations/SANDBOX"
    assert told["STRIPE_API_BASE"] == "http://127.0.0.1:8002"
    assert told["SANDBOX_STRIPE_KEY"] == told["STRIPE_SECRET_KEY"]
    assert told["SANDBOX_STRIPE_WEBHOOK_SECRET"] == told["STRIPE_WEBHOOK_SECRETS"]
    assert told["SANDBOX_CALENDLY_TOKEN"] == told["CALENDLY_API_TOKEN"]
