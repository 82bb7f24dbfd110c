"""What every test stands on: fixed settings, a throw-away PostgreSQL, and a browser where there is one.

This file makes the environment and only then lets Django read its settings. So DJANGO_SETTINGS_MODULE is set here and
not in pytest.ini, from which pytest-django would load the settings before this file.
"""

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, sync_playwright

from config.embedded_postgres import Cluster

if settings.configured:
    pytest.exit("Unset DJANGO_SETTINGS_MODULE: the settings were read before the tests could fix them.", returncode=4)

# Nothing of a developer's shell or files reaches a test, but DATABASE_URL: it replaces the throw-away server.
for name in re.findall(r"^#? ?([A-Z_]+)=", Path(__file__).with_name(".env.example").read_text(), re.MULTILINE):
    if name != "DATABASE_URL":
        os.environ.pop(name, None)
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "ENV_FILE": "",  # neither .env nor var/run.env
    "SECRET_KEY": "a-secret-key-for-tests-and-for-nothing-else-4f1c",
    "PUBLIC_URL": "http://testserver",
    "STRIPE_SECRET_KEY": "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
    "STRIPE_WEBHOOK_SECRETS": "whsec_test_J7bRkq2mZ4",
    "STRIPE_ACCOUNT_ID": "acct_1032D82eZvKYlo2C",
    "CALENDLY_API_TOKEN": "calendly-test-token",
    "CALENDLY_WEBHOOK_SIGNING_KEYS": "calendly-test-signing-key",
    "CALENDLY_ORGANIZATION": "https://api.calendly.com/organizations/ORG",
}

# How long an example takes says nothing on a busy machine, and is no test.
hypothesis.settings.register_profile("slotpay", deadline=None)
hypothesis.settings.load_profile("slotpay")

_cluster: Cluster | None = None
if not os.environ.get("DATABASE_URL"):
    # Nothing here outlives the session, so nothing has to reach the disk.
    fast = ("-F", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
    _cluster = Cluster(Path(tempfile.mkdtemp(prefix="slotpay-test-")), options=fast)
    os.environ["DATABASE_URL"] = _cluster.url()
    # Stopped first: the last registered is the first to run. A pytest that fails early comes here too.
    for folder in {_cluster.home, _cluster.socket_folder}:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(_cluster.stop)


def pytest_configure() -> None:
    # As on the embedded database: the same tables in 4 s instead of 50.
    settings.MIGRATION_MODULES = {"djstripe": "payments.djstripe_migrations"}


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Starts the server when the first test asks for the database."""
    if _cluster:
        _cluster.start()


@pytest.fixture(scope="session")
def database_url(django_db_setup: None) -> str:
    """DATABASE_URL of the test database, for processes that a test starts. Needs a test with committed data."""
    url, mark, query = os.environ["DATABASE_URL"].partition("?")
    return f"{url.rpartition('/')[0]}/{settings.DATABASES['default']['NAME']}{mark}{query}"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium. Where there is none, the test is skipped, or fails if REQUIRE_BROWSER is set."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        missing = "no Chromium on this machine: install the package `chromium` to run the browser tests"
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail(missing)
        pytest.skip(missing)
    # Playwright's synchronous API keeps an event loop in this thread; Django would refuse the database there.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-quic", *quiet]
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page, with no cookies of another test. Mark the test `browser`."""
    context = browser.new_context()
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()
