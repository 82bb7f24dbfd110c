"""Sends the webhooks of a local provider: from background threads, signed anew for each try, tried again when refused.

A letter is one webhook for one subscription. Letters are kept in the state until they are delivered or their
subscription is gone, so that a restart goes on where it stopped and a flush can bring what was lost.
"""

import hashlib
import hmac
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import requests

from sandbox.faults import Faults
from sandbox.state import Json, State

TABLE = "letters"
TIMEOUT = (3.0, 10.0)
"""Seconds to connect, and to wait for the answer."""
OVERTAKEN_AFTER = 2.0
"""Seconds after which a letter that waits to be overtaken goes anyway."""


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """What Stripe and Calendly alike put behind `v1=`: hex HMAC-SHA256 of `<timestamp>.<body>`."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


class Courier:
    """Delivers letters, four at a time, so that two written together may arrive in either order.

    `headers(subscription_id, timestamp, body)` gives the signed headers of one try, or None if the subscription is
    gone or disabled (the letter is then thrown away). `settled(letter, delivered)` is told, under the state's lock,
    that a letter arrived, or that every try failed: each copy by itself, and one given up may still arrive by a flush.
    `waits` are the seconds between tries.
    """

    def __init__(
        self,
        state: State,
        faults: Faults,
        *,
        headers: Callable[[str, int, bytes], Mapping[str, str] | None],
        settled: Callable[[Json, bool], None] = lambda letter, delivered: None,
        waits: tuple[float, ...] = (1, 2, 4, 8, 15),
    ) -> None:
        self._state = state
        self._faults = faults
        self._headers = headers
        self._settled = settled
        self._waits = waits
        self._under_way: set[str] = set()
        self._news = threading.Condition(state.lock)
        self._stopped = True
        self._threads = ThreadPoolExecutor(1)

    def post(self, *, subscription_id: str, url: str, event: str, about: str, body: str) -> None:
        """Take a letter. `event` is its kind, `about` the id of what it tells (an event's id), `body` exact JSON text.

        Call it inside `state.changing()`, with the change that it tells of.
        """
        fate = self._faults.for_letter(event)
        now = self._state.now()
        for copy in range(fate.copies):
            letter: Json = {
                "id": self._state.new_id("letter_", 12),
                "subscription_id": subscription_id,
                "url": url,
                "event": event,
                "about": about,
                "body": body,
                "tries": 0,
                "held": fate.drop,
                "due": now + fate.wait + 0.3 * copy + (OVERTAKEN_AFTER if fate.behind else 0.0),
                "behind": fate.behind,
                "answers": [],
            }
            self._letters[letter["id"]] = letter
        self._news.notify_all()

    def waiting(self) -> list[Json]:
        """The letters that have not arrived, oldest first. Those with `held` go only with a flush."""
        with self._state.lock:
            return [{**letter} for letter in self._letters.values()]

    def flush(self, order: Iterable[str] | None = None) -> list[Json]:
        """Deliver everything that has not arrived, lost letters too, now and one after the other.

        `order` names letter ids or what they are about, those not named follow; without it the order is drawn.
        Returns for each letter its event, what it is about, and the HTTP status it got (or 0). What is refused again
        stays: a lost letter for the next flush, others for their next try.
        """
        with self._news:
            # What a thread is delivering at this moment is not ours, but done when we return.
            self._news.wait_for(lambda: not self._under_way)
            letters = dict(self._letters)
            self._under_way.update(letters)
        try:
            if order is None:
                keys = self._faults.shuffled(letters)
            else:
                rank = {name: place for place, name in reversed(list(enumerate(order)))}
                keys = sorted(letters, key=lambda key: rank.get(key, rank.get(letters[key]["about"], len(rank))))
            results = []
            for key in keys:
                letter = letters[key]
                status = self._try(letter)
                results.append({"id": key, "event": letter["event"], "about": letter["about"], "status": status})
            return results
        finally:
            self._landed(*letters)

    def wake(self) -> None:
        """Look again at what is due: the clock was moved."""
        with self._news:
            self._news.notify_all()

    def start(self, threads: int = 4) -> None:
        """Begin to deliver in the background."""
        self._stopped = False
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="courier")
        for _ in range(threads):
            self._threads.submit(self._deliver)

    def stop(self) -> None:
        """Finish the letters under way and stop."""
        with self._news:
            self._stopped = True
            self._news.notify_all()
        self._threads.shutdown()

    @property
    def _letters(self) -> dict[str, Json]:
        return self._state.table(TABLE)

    def _deliver(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while (letter := self._take()) is not None:
                try:
                    self._try(letter, session)
                finally:
                    self._landed(letter["id"])

    def _landed(self, *keys: str) -> None:
        with self._news:
            self._under_way.difference_update(keys)
            self._news.notify_all()

    def _take(self) -> Json | None:
        """Wait for a letter that is due, and mark it as under way; None once stopped."""
        with self._news:
            while not self._stopped:
                ready = [
                    letter for key, letter in self._letters.items() if not letter["held"] and key not in self._under_way
                ]
                first = min(ready, key=lambda letter: float(letter["due"]), default=None)
                wait = None if first is None else first["due"] - self._state.now()
                if first is not None and wait is not None and wait <= 0:
                    self._under_way.add(first["id"])
                    return first
                self._news.wait(wait)
            return None

    def _try(self, letter: Json, session: requests.Session | None = None) -> int:
        """Send it once and write down what came of it. Returns the HTTP status, 0 if there was no answer."""
        body = letter["body"].encode()
        headers = self._headers(letter["subscription_id"], int(self._state.now()), body)
        if headers is None:
            with self._state.changing():
                self._letters.pop(letter["id"], None)
            return 0
        status = _send(session, letter["url"], body, headers)
        with self._state.changing():
            letter["tries"] += 1
            letter["answers"].append(status)
            if 200 <= status < 300:
                self._letters.pop(letter["id"], None)
                self._settled(letter, True)
                self._let_overtaken_go(letter)
            elif letter["tries"] <= len(self._waits):
                letter["due"] = self._state.now() + self._waits[letter["tries"] - 1]
            else:
                letter["held"] = True
                self._settled(letter, False)
            self._news.notify_all()
        return status

    def _let_overtaken_go(self, arrived: Json) -> None:
        for letter in self._letters.values():
            if letter["behind"] and letter["url"] == arrived["url"]:
                letter["behind"] = False
                letter["due"] = self._state.now()


def _send(session: requests.Session | None, url: str, body: bytes, headers: Mapping[str, str]) -> int:
    if session is None:
        with requests.Session() as own:
            own.trust_env = False
            return _send(own, url, body, headers)
    try:
        answer = session.post(url, data=body, headers=dict(headers), timeout=TIMEOUT, allow_redirects=False)
    except requests.RequestException:
        return 0
    return answer.status_code
