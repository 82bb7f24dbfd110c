"""A client that books and pays over HTTP, step by step, and repeats a step while the service is away."""

from typing import Any

import requests

from operations.tests.machine import Machine, wait_until

AWAY = {502: "STRIPE_API_ERROR", 503: "SERVICE_UNAVAILABLE"}
"""What the API may say while a part of it is being killed. Nothing else is an answer to that."""


class Client:
    """The demo client, signed in. `refusals` counts the answers of `AWAY` by status."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.refusals = dict.fromkeys(AWAY, 0)
        self.session = requests.Session()
        self.session.trust_env = False
        signed_in = self.ask("POST", "auth/token", {"email": "client@example.com", "password": "slotpay-client"})
        self.session.headers["Authorization"] = f"Bearer {signed_in['token']}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to a call of the API, asked again while the service is away."""
        return wait_until(lambda: self.ask_once(method, path, body), f"{method} {path} is answered")

    def ask_once(self, method: str, path: str, body: Any = None) -> Any:
        """The answer, or None if the service is away. Fails on any other refusal."""
        answer = self.session.request(method, f"{self.machine.url}/api/{path}", json=body, timeout=30)
        told = answer.json()
        if answer.status_code != 200:
            assert AWAY.get(answer.status_code) == told["error"]["code"], (path, answer.status_code, told)
            self.refusals[answer.status_code] += 1
            return None
        return told


class Walk:
    """One booking, from the first call to the payment. A method for each step, in the order of `STEPS`."""

    STEPS = ("initiate", "pick_a_slot", "store_event", "open_checkout", "pay")

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self.booking_id = ""
        self.steps_done = 0

    def go(self, upto: str = "pay") -> None:
        """Take the steps that are left, up to this one."""
        for step in self.STEPS[self.steps_done : self.STEPS.index(upto) + 1]:
            getattr(self, step)()
            self.steps_done += 1

    def initiate(self) -> None:
        offers = self.client.ask("GET", "scheduling/session-types")["results"]
        offer = next(one for one in offers if one["name"] == "1:1 Consultation")
        wanted = {"sessionTypeId": offer["id"], "builderProfileId": offer["builderProfileId"]}
        self.flow = self.client.ask("POST", "scheduling/calendly/initiate-booking", wanted)

    def pick_a_slot(self) -> None:
        form = {"name": self.name, "email": "client@example.com"}
        page = self.flow["calendlyUrl"]
        answer = self.client.session.post(page, data=form, headers={"Accept": "application/json"}, timeout=30)
        answer.raise_for_status()
        self.slot = answer.json()

    def store_event(self) -> None:
        told = {
            "bookingFlowId": self.flow["bookingFlowId"],
            "calendlyEventUri": self.slot["event_uri"],
            "calendlyInviteeUri": self.slot["invitee_uri"],
        }
        self.booking_id = self.client.ask("POST", "scheduling/calendly/store-event", told)["bookingId"]

    def open_checkout(self) -> None:
        wanted = {"bookingId": self.booking_id}
        self.checkout = self.client.ask("POST", "stripe/create-checkout-session", wanted)

    def pay(self) -> None:
        """Press the button on Stripe's page. Our return page is not visited: the webhook has to be enough."""
        url = self.checkout["url"]
        answer = self.client.session.post(url, data={"action": "pay"}, allow_redirects=False, timeout=30)
        assert answer.status_code == 303

    def is_confirmed_and_paid(self) -> bool:
        """Whether the service says so; not while it is away."""
        told = self.client.ask_once("GET", f"scheduling/calendly/booking-status/{self.booking_id}")
        return bool(told) and (told["status"], told["paymentStatus"]) == ("CONFIRMED", "PAID")

    def has_done(self, steps: int) -> bool:
        """Whether so many steps are done; one thread walks, another waits."""
        return self.steps_done >= steps
