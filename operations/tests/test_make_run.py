"""`make run` as a whole: its processes, in a copy of this checkout, and the README's walk beside them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from config.embedded_postgres import CHECKOUT, Cluster
from operations.tests.machine import outside_environment, wait_until

README = (CHECKOUT / "README.md").read_text()
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "var", ".env", "__pycache__", ".*_cache", ".hypothesis")


class Run:
    """A `manage.py dev` of a copy of the checkout, so that a developer's own `make run` does not notice."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        self._log = checkout.parent / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "dev"],
                cwd=checkout,
                env=outside_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._is_ready, "Slotpay is ready")

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.said()
        return "Slotpay is ready\n" in self.said()

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def told(self, name: str) -> str:
        """A setting, as it is told to the commands in a second terminal."""
        settings = (self.checkout / "var" / "run.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in settings)[name]

    def walk(self) -> str:
        """What the README's walk prints when it is pasted into a shell."""
        walk = re.search(r"<!-- walk -->\n```bash\n(.*?)```\n<!-- /walk -->", README, re.DOTALL)
        assert walk
        environment = outside_environment() | {"SLOTPAY": self.told("PUBLIC_URL")}
        shell = subprocess.run(
            ["bash"],  # noqa: S607
            input=walk[1],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert shell.stderr == "", self.said()
        return shell.stdout

    def processes(self) -> dict[int, str]:
        """The command lines of all that it has started, by pid. Needs /proc."""
        parents = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with_parent = re.search(r"\) . (\d+) ", _read(folder / "stat"))
            if with_parent:
                parents[int(folder.name)] = int(with_parent[1])
        below = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in below} - below:
            below |= more
        return {pid: _read(Path(f"/proc/{pid}/cmdline")).replace("\0", " ") for pid in below - {self.process.pid}}


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # The process has just ended.
        return ""


def is_gone(pid: int) -> bool:
    return "State:\tZ" in _read(Path(f"/proc/{pid}/status")) or not Path(f"/proc/{pid}").exists()


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    """A copy of the tree, with nothing of what a developer has in it, and with a space in its name."""
    above = Path(tempfile.mkdtemp(prefix="slotpay-test-"))
    above.chmod(0o711)  # As root, the database runs as another user.
    copy = above / "slot pay"
    shutil.copytree(CHECKOUT, copy, ignore=NOT_COPIED)
    yield copy
    shutil.rmtree(Cluster(copy / "var" / "postgres").socket_folder, ignore_errors=True)
    shutil.rmtree(above)


@pytest.fixture
def run(checkout: Path) -> Iterator[Run]:
    run = Run(checkout)
    yield run
    if run.process.poll() is None:
        os.killpg(run.process.pid, signal.SIGKILL)  # Its children get a SIGTERM by this, on Linux.
        run.process.wait()


def test_the_walk_of_the_readme_ends_confirmed_and_paid(run):
    calendly = run.told("CALENDLY_API_BASE")
    for shape in ("v2", "contract", "contract-1.2"):
        requests.post(f"{calendly}/_sandbox/shape", json={"shape": shape}, timeout=30).raise_for_status()
        assert run.walk() == "CONFIRMED PAID\n", f"with webhooks of the shape {shape}: {run.said()}"

    started = run.processes()
    run.process.terminate()

    assert run.process.wait(30) == 0, run.said()
    assert run.said().endswith("Slotpay has stopped.\n")
    assert "Traceback" not in run.said()
    assert {pid: command for pid, command in started.items() if not is_gone(pid)} == {}
    assert not (run.checkout / "var" / "run.env").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker in /proc")
def test_a_part_that_dies_ends_the_whole_with_its_name_and_exit_code(run):
    started = run.processes()
    worker = next(pid for pid, command in started.items() if "worker" in command and "manage.py" in command)
    os.kill(worker, signal.SIGKILL)

    assert run.process.wait(30) == 1
    assert "worker died: killed by SIGKILL. Slotpay has stopped.\n" in run.said()
    assert {pid: command for pid, command in started.items() if not is_gone(pid)} == {}


def test_the_readme_lists_every_setting():
    in_the_example = re.findall(r"^# ([A-Z_]+)=", (CHECKOUT / ".env.example").read_text(), re.MULTILINE)
    table = README.partition("## Settings")[2].partition("##")[0]

    assert set(in_the_example) == set(re.findall(r"`([A-Z_]+)`", "".join(re.findall(r"^\|([^|]*)\|", table, re.M))))
