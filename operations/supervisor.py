"""Starts processes, passes on what they say as one stream, and stops them together (`manage.py dev`, fault tests)."""

import os
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from types import FrameType, TracebackType
from typing import IO, Self

from config.embedded_postgres import CHECKOUT, dying_with_us

STOP_SECONDS = 5  # How long a process may take to stop before it is killed.
LONGEST_LINE = 4096  # bytes, with the line's end: what a pipe that is ready takes without blocking


class ChildEnded(Exception):
    """A process that should run for ever has ended, or a command has failed."""

    def __init__(self, name: str, returncode: int) -> None:
        self.name, self.returncode = name, returncode
        how = f"exit code {returncode}" if returncode >= 0 else f"killed by {signal.Signals(-returncode).name}"
        super().__init__(f"{name} died: {how}")


class StopRequested(Exception):
    """Somebody pressed Ctrl-C, or sent SIGTERM, or closed the terminal."""


class Child:
    """A process in a session of its own, so that a Ctrl-C at the terminal reaches only us.

    On Linux it gets SIGTERM when we die, however. Start it from the main thread (see `dying_with_us`).
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        output: int | IO[bytes] | None = None,
    ) -> None:
        """Start it in the checkout's folder. `output` takes both its streams: a file, or subprocess.PIPE."""
        self.name = name
        self.process = subprocess.Popen(  # noqa: S603
            argv,
            cwd=CHECKOUT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=dying_with_us(signal.SIGTERM),
        )

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """SIGTERM, and SIGKILL if it does not end in time. Gives the exit code (negative: the signal)."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.kill()

    def kill(self) -> int:
        """SIGKILL for the process and all that it has started. Gives the exit code."""
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()


class Supervisor:
    """Runs children until one ends or a signal comes. One thread: forking is safe, and the children's parent stays.

    A context manager: inside it SIGINT, SIGTERM and SIGHUP raise StopRequested from the methods that wait; on the way
    out the children are stopped.
    """

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._watched: dict[str, subprocess.Popen[bytes]] = {}
        self._streams = selectors.DefaultSelector()
        self._unfinished: dict[Child, bytes] = {}
        self._stop_requested = False
        self._reader_is_stuck = False

    def __enter__(self) -> Self:
        signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored under nohup
            signals.append(signal.SIGHUP)
        self._handlers = {signum: signal.signal(signum, self._request_stop) for signum in signals}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Child:
        """Start a process that is to run until `stop`. Its lines are passed on with its name in front."""
        child = Child(name, argv, env, output=subprocess.PIPE)
        self._children.append(child)
        self._streams.register(self._stream(child), selectors.EVENT_READ, child)
        return child

    def watch(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Treat the end of a process that somebody else starts and stops as we treat the end of a child."""
        self._watched[name] = process

    def run(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Run a command to its end. Raises ChildEnded if it fails, or if one that should run has ended."""
        command = self.start(name, argv, env)
        while command.process.poll() is None:
            self._wait_a_moment(but_not_for=command)
        self._pass_on_the_rest(command)
        self._children.remove(command)
        if command.process.returncode:
            raise ChildEnded(name, command.process.returncode)

    def wait_until(self, condition: Callable[[], bool], seconds: float, complaint: str) -> None:
        """Wait for the condition; raises TimeoutError with the complaint after so many seconds."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError(complaint)
            self._wait_a_moment()

    def wait(self) -> None:
        """Pass on what the children say. Ends only by ChildEnded or StopRequested."""
        while True:
            self._wait_a_moment()

    def stop(self) -> None:
        """Stop the children in the reverse order of their starts, those of one name together. Twice is fine."""
        for _, group in groupby(reversed(self._children), key=lambda child: child.name):
            stopping = list(group)
            for child in stopping:
                child.process.terminate()
            until = time.monotonic() + STOP_SECONDS
            while any(child.process.poll() is None for child in stopping) and time.monotonic() < until:
                self._pass_on(seconds=0.05)
            for child in stopping:
                child.kill()
                self._pass_on_the_rest(child)
        self._children.clear()

    def say(self, text: str) -> None:
        """Write a line to our own output.

        Its reader may have stopped reading without closing it (a paused terminal, a script that waits for one line).
        That must not stop the service, so we wait for it a second, and then drop what it does not take.
        """
        try:
            _, writable, _ = select.select([], [sys.stdout], [], 0 if self._reader_is_stuck else 1)
            self._reader_is_stuck = not writable
            if writable:
                os.write(sys.stdout.fileno(), text.encode()[: LONGEST_LINE - 1] + b"\n")
        except OSError:  # Nobody is there any more.
            self._reader_is_stuck = True

    def _request_stop(self, _signum: int, _frame: FrameType | None) -> None:
        self._stop_requested = True

    def _wait_a_moment(self, but_not_for: Child | None = None) -> None:
        self._pass_on(seconds=0.1)
        if self._stop_requested:
            raise StopRequested
        for child in self._children:
            if child is not but_not_for and child.process.poll() is not None:
                self._pass_on_the_rest(child)
                raise ChildEnded(child.name, child.process.returncode)
        for name, process in self._watched.items():
            if process.poll() is not None:
                raise ChildEnded(name, process.returncode)

    def _pass_on(self, seconds: float) -> None:
        for key, _ in self._streams.select(seconds):
            self._read(key.data)

    def _pass_on_the_rest(self, child: Child) -> None:
        """What a child said before it ended; not what a process that it left behind may still say."""
        stream = self._stream(child)
        while not stream.closed and select.select([stream], [], [], 0)[0]:
            self._read(child)

    def _read(self, child: Child) -> None:
        stream = self._stream(child)
        chunk = os.read(stream.fileno(), 65536)
        *lines, rest = (self._unfinished.pop(child, b"") + chunk).split(b"\n")
        if rest and chunk and len(rest) < LONGEST_LINE:
            self._unfinished[child] = rest
        elif rest:
            lines.append(rest)
        for line in lines:
            self.say(f"{child.name:8} | {line.decode(errors='replace')}")
        if not chunk:
            self._streams.unregister(stream)
            stream.close()

    @staticmethod
    def _stream(child: Child) -> IO[bytes]:
        assert child.process.stdout  # noqa: S101 -- `start` has asked for a pipe
        return child.process.stdout
