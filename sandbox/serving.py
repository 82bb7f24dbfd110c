"""Runs a local provider over HTTP: web server, courier and clock in one process, or in threads of a test."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from sandbox.courier import Courier

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

TICK_SECONDS = 0.5


class QuietHandler(WSGIRequestHandler):
    """Writes no line for each request, and reads no more from a connection that was cut."""

    def log_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Nothing."""

    def connection_dropped(self, *_args: Any, **_kwargs: Any) -> None:
        """The caller has gone, or `faults.cut_connection` sent it away."""
        self.close_connection = True


@contextmanager
def running(
    app: "WSGIApplication",
    courier: Courier,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[str]:
    """Serve the app in background threads; gives its base URL, like `http://127.0.0.1:12111`.

    `tick` is called twice a second: what happens at the provider because time has passed. Port 0 is any free one.
    """
    server: BaseWSGIServer = make_server(host, port, app, threaded=True, request_handler=QuietHandler)
    over = threading.Event()

    def watch_the_clock() -> None:
        while not over.wait(TICK_SECONDS):
            try:
                tick()
            except Exception:
                logging.getLogger(__name__).exception("the sandbox's clock failed once")

    # The poll is how long a test waits for the server to stop.
    threads = [
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True),
        threading.Thread(target=watch_the_clock, daemon=True),
    ]
    courier.start()
    for thread in threads:
        thread.start()
    try:
        yield f"http://{'[' + host + ']' if ':' in host else host}:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join()
        courier.stop()


def run(
    name: str,
    app: "WSGIApplication",
    courier: Courier,
    *,
    host: str,
    port: int,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Serve the app as this process, until SIGTERM or Ctrl-C, which end it at once. Prints one line when ready.

    Nothing has to be tidied up at the end: the state's file is written after every change.
    """
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda _number, _frame: os._exit(0))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with running(app, courier, host=host, port=port, tick=tick) as base:
        print(f"{name} sandbox is ready on {base}", flush=True)
        while True:
            signal.pause()
