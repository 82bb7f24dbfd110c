"""What `manage.py dev` decides before it starts anything."""

import os
import stat

import pytest
from django.core.management.base import CommandError

from operations.management.commands import dev

BASES = {"STRIPE_API_BASE": "http://stripe.test", "CALENDLY_API_BASE": "http://calendly.test"}
KEYS = {"STRIPE_SECRET_KEY": "sk_test_1", "CALENDLY_API_TOKEN": "token"}


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch):
    for name in ("SANDBOX", *BASES, *KEYS):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, True),
        (BASES, False),
        (KEYS, False),
        ({"STRIPE_SECRET_KEY": "sk_test_1"}, True),
        ({"STRIPE_API_BASE": "http://stripe.test", "CALENDLY_API_TOKEN": "token"}, True),
        ({**KEYS, "CALENDLY_API_TOKEN": ""}, True),
        ({"SANDBOX": "auto", **KEYS}, False),
        ({"SANDBOX": "on", **KEYS}, True),
        ({"SANDBOX": "off"}, False),
    ],
)
def test_the_sandbox_gives_way_to_both_bases_or_both_keys(monkeypatch, given, wanted):
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    assert dev.sandbox_is_wanted() is wanted


def test_a_misspelt_sandbox_is_refused(monkeypatch):
    monkeypatch.setenv("SANDBOX", "yes please")

    with pytest.raises(CommandError, match="auto, on or off"):
        dev.sandbox_is_wanted()


def test_what_a_killed_run_left_behind_does_not_count_as_given(monkeypatch, tmp_path):
    monkeypatch.setattr(dev, "RUN_ENV", tmp_path / "run.env")
    dev.write_private(dev.RUN_ENV, "STRIPE_API_BASE=http://127.0.0.1:8002\nCALENDLY_API_BASE=http://127.0.0.1:8001\n")
    monkeypatch.setenv("STRIPE_API_BASE", "http://127.0.0.1:8002")  # as the settings have read it
    monkeypatch.setenv("CALENDLY_API_BASE", "http://calendly.test")  # as the user has set it

    dev.forget_an_earlier_run()

    assert "STRIPE_API_BASE" not in os.environ
    assert os.environ["CALENDLY_API_BASE"] == "http://calendly.test"


def test_the_sandbox_keys_are_private_and_survive_a_restart(settings, tmp_path):
    settings.VAR_DIR = tmp_path / "var"

    keys = dev.kept_keys()

    assert dev.kept_keys() == keys
    assert stat.S_IMODE((settings.VAR_DIR / "sandbox-keys.json").stat().st_mode) == 0o600
