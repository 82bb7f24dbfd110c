"""The client's way through the pay page, Stripe's page and back, in a real browser and with the local Stripe."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from bookings.models import Booking
from bookings.tests.marketplace import begun, caller, heard, offer
from payments.checkouts import pay_url
from sandbox.faults import Faults
from sandbox.serving import running
from sandbox.state import State
from sandbox.stripe.app import local_stripe

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
PERSONAL = ("Ann", "ann@example.com", "+49 30 1234", "secret plan")
"""What the service knows of the client of `booking`."""


@pytest.fixture
def booking(live_server: Any, settings: Any) -> Iterator[Booking]:
    """A booking that can be paid for, at a service that the browser can reach, with a Stripe of its own."""
    local = local_stripe(State(seed="pay page"), Faults("pay page"), secret_key=settings.STRIPE_SECRET_KEY)
    with running(local.app, local.courier, tick=local.tick) as base:
        settings.PUBLIC_URL, settings.STRIPE_API_BASE = live_server.url, base
        yield heard(begun(caller("ann@example.com"), offer()))


@pytest.fixture
def complaints(page: Page, live_server: Any) -> list[str]:
    """What the browser complains about on our pages; the local Stripe's are not ours."""
    said: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.location["url"].startswith(live_server.url):
            said.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


def wait_for_stripe(page: Page) -> None:
    page.wait_for_url(re.compile(r"/c/pay/cs_test_"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_page_fits_its_screen(booking: Booking, browser: Browser, size: Any, scheme: Any, tmp_path: Path):
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page = context.new_page()
    page.goto(pay_url(booking.id))
    page.screenshot(path=tmp_path / f"pay-{size['width']}-{scheme}.png")

    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    button = page.get_by_role("button").bounding_box()
    assert button
    assert button["height"] >= 44
    assert button["y"] + button["height"] <= size["height"]
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(ground) < 64) if scheme == "dark" else (min(ground) > 192)
    context.close()


def test_paying_leads_back_to_a_page_that_says_so(booking: Booking, page: Page, complaints: list[str]):
    page.goto(pay_url(booking.id))
    before = page.content()
    page.get_by_role("button", name="Pay 120.00 USD").click()
    wait_for_stripe(page)
    page.get_by_role("button", name="Book and pay").click()
    page.wait_for_url(f"**/pay/{booking.id}/return?session=cs_test_*")

    expect(page.get_by_role("status")).to_have_text("This booking is paid. Nothing is left to do.")
    expect(page.get_by_role("button")).to_have_count(0)
    assert [word for word in PERSONAL if word in before + page.content()] == []
    assert complaints == []


def test_a_declined_card_and_a_change_of_mind_leave_a_way_to_pay_by_keyboard(
    booking: Booking, page: Page, complaints: list[str]
):
    page.goto(pay_url(booking.id))
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Pay 120.00 USD")).to_be_focused()
    page.keyboard.press("Enter")
    wait_for_stripe(page)
    checkout = page.url

    page.get_by_role("button", name="declined").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("declined")
    assert page.url == checkout
    page.get_by_role("button", name="Abandon").press("Enter")
    page.wait_for_url(f"**/pay/{booking.id}/return?left=1")

    expect(page.get_by_role("status")).to_have_text("Your slot is held for you. It is yours once you have paid.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_stripe(page)
    assert page.url == checkout  # the same session, not a second one
    page.get_by_role("button", name="Book and pay").press("Enter")
    page.wait_for_url(f"**/pay/{booking.id}/return?session=cs_test_*")

    expect(page.get_by_role("status")).to_have_text("This booking is paid. Nothing is left to do.")
    assert complaints == []
