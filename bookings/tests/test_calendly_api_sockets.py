"""Calls to Calendly over real sockets, where `responses` cannot follow: proxies, chunks, broken connections."""

import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from api.calling import Deadline, Unavailable, Unknown
from bookings import calendly_api

EVENT = (Path(__file__).parent / "fixtures/calendly/rest/scheduled_event_001.json").read_bytes()


@pytest.fixture(autouse=True)
def waits(monkeypatch) -> list[float]:
    """The waits between tries, in seconds; nobody really waits."""
    waited: list[float] = []
    monkeypatch.setattr("api.calling.time.sleep", waited.append)
    return waited


@contextmanager
def serving(answer: bytes, pieces: int = 1):
    """A local server that sends these bytes as they are, in so many pieces, 0.1 s apart. Yields its base, and the
    headers of the requests that came."""
    seen = []
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(dict(self.headers))
            size = -(-len(answer) // pieces)
            try:
                for start in range(0, len(answer), size):
                    self.wfile.write(answer[start : start + size])
                    self.wfile.flush()
                    if pieces > 1 and stopped.wait(0.1):
                        break
            except OSError:
                pass  # the client hung up, as it should
            self.close_connection = True

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


def http(content: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(content)}\r\n{headers}\r\n".encode() + content


def test_a_real_answer_is_read_without_the_environments_proxy(settings, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # where nobody listens
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    settings.CALENDLY_API_TOKEN = "the-token"
    with serving(http(EVENT)) as (base, seen):
        settings.CALENDLY_API_BASE = base
        assert calendly_api.get_scheduled_event("EV001").event_id == "EV001"
    assert seen[0]["Authorization"] == "Bearer the-token"


def test_an_answer_in_chunks_is_read(settings):
    half = len(EVENT) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (EVENT[:half], EVENT[half:], b""))
    with serving(b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks) as (base, _):
        settings.CALENDLY_API_BASE = base
        assert calendly_api.get_scheduled_event("EV001").event_id == "EV001"


def test_nothing_listening_means_that_nothing_was_done(settings, waits):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening: connections are refused
        settings.CALENDLY_API_BASE = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unavailable, match="cannot be reached"):
            calendly_api.get_scheduled_event("EV001")
    assert waits == [0.1, 0.2]


@pytest.mark.parametrize(
    "answer",
    [
        b"",  # hung up at once
        http(EVENT)[:-10],  # hung up in the middle
        http(b"not gzip", "Content-Encoding: gzip\r\n"),
    ],
    ids=["nothing", "half", "garbled"],
)
def test_a_connection_that_breaks_off_leaves_open_what_was_done(settings, answer):
    with serving(answer) as (base, seen):
        settings.CALENDLY_API_BASE = base
        with pytest.raises(Unknown):
            calendly_api.get_scheduled_event("EV001")
    assert len(seen) == 3


def test_an_answer_that_trickles_in_is_not_waited_for_beyond_the_deadline(settings):
    with serving(http(EVENT), pieces=100) as (base, seen):
        settings.CALENDLY_API_BASE = base
        deadline = Deadline(1.5)
        with pytest.raises(Unknown, match="too slow"):
            calendly_api.get_scheduled_event("EV001", deadline=deadline)
    assert len(seen) == 1


def test_each_thread_has_a_session_of_its_own_and_keeps_it():
    def sessions(found: list[requests.Session]) -> None:
        found += [calendly_api._session(), calendly_api._session()]

    here: list[requests.Session] = []
    there: list[requests.Session] = []
    sessions(here)
    thread = threading.Thread(target=sessions, args=(there,))
    thread.start()
    thread.join()
    assert here[0] is here[1]
    assert there[0] is there[1]
    assert here[0] is not there[0]
