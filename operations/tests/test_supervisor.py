"""The supervisor, with real processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from operations import supervisor
from operations.supervisor import Child, ChildEnded, StopRequested, Supervisor

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def wait_for(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")  # ended as well, if nobody has collected it
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_child_that_dies_ends_the_whole_with_its_name_and_code(capfd):
    with Supervisor() as processes:
        steady = processes.start("steady", SLEEP)
        processes.start("brief", python("import sys; print('last words', end=''); sys.exit(3)"))
        with pytest.raises(ChildEnded, match="brief died: exit code 3") as ended:
            processes.wait()

    assert (ended.value.name, ended.value.returncode) == ("brief", 3)
    assert capfd.readouterr().out == "brief    | last words\n"
    assert steady.process.returncode == -signal.SIGTERM


def test_a_killed_child_is_reported_with_the_signal():
    with Supervisor() as processes:
        processes.start("worker", SLEEP).process.kill()
        with pytest.raises(ChildEnded, match="worker died: killed by SIGKILL"):
            processes.wait()


def test_a_watched_process_that_dies_ends_the_whole_too():
    with subprocess.Popen(python("raise SystemExit(4)")) as database, Supervisor() as processes:  # noqa: S603
        processes.watch("database", database)
        with pytest.raises(ChildEnded, match="database died: exit code 4"):
            processes.wait()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_children_last_started_first_and_those_of_one_name_together(tmp_path, signum):
    code = """
import pathlib, signal, sys, time
def end(*_):
    with open("diary", "a") as diary:
        diary.write(sys.argv[1] + " ")
    time.sleep(0.3)
    sys.exit()
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[2]).touch()
time.sleep(60)
"""
    code = f"import os; os.chdir({str(tmp_path)!r})" + code
    before = signal.getsignal(signum)
    with Supervisor() as processes:
        for number, name in enumerate(("database", "web", "worker", "worker")):
            processes.start(name, [*python(code), name, f"up-{number}"])
        processes.wait_until(lambda: len(list(tmp_path.glob("up-*"))) == 4, 20, "not up")
        threading.Timer(0.1, os.kill, (os.getpid(), signum)).start()
        with pytest.raises(StopRequested):
            processes.wait()

    assert (tmp_path / "diary").read_text().split() == ["worker", "worker", "web", "database"]
    assert signal.getsignal(signum) is before


def test_a_child_that_does_not_stop_is_killed(monkeypatch):
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.3)
    with Supervisor() as processes:
        child = processes.start("stubborn", python(STUBBORN))
        time.sleep(0.5)

    assert child.process.returncode == -signal.SIGKILL


def test_what_a_child_has_started_ends_with_it(tmp_path):
    code = f"import subprocess, time; print(subprocess.Popen({SLEEP!r}).pid, flush=True); time.sleep(60)"
    with (tmp_path / "output").open("wb") as output:
        child = Child("parent", python(code), output=output)
    wait_for((tmp_path / "output").read_text)
    grandchild = int((tmp_path / "output").read_text())

    assert child.kill() == -signal.SIGKILL
    wait_for(lambda: has_ended(grandchild))


def test_a_command_runs_to_its_end_and_a_failed_one_is_named(capfd):
    with Supervisor() as processes:
        processes.run("migrate", python("print('done')"))
        with pytest.raises(ChildEnded, match="demo died: exit code 1"):
            processes.run("demo", python("raise SystemExit('no data')"))

    assert capfd.readouterr().out == "migrate  | done\ndemo     | no data\n"


def test_a_command_is_given_up_when_a_child_dies():
    with Supervisor() as processes:
        processes.start("web", python("raise SystemExit(5)"))
        with pytest.raises(ChildEnded, match="web died"):
            processes.run("migrate", SLEEP)


def test_waiting_for_what_never_comes_ends_with_the_complaint():
    with Supervisor() as processes, pytest.raises(TimeoutError, match="no answer"):
        processes.wait_until(lambda: False, seconds=0.1, complaint="no answer")


@pytest.mark.skipif(sys.platform != "linux", reason="needs parent-death signals")
def test_kill_9_leaves_no_orphan(tmp_path):
    code = f"""
import subprocess
from operations.supervisor import Supervisor
with Supervisor() as processes:
    print(processes.start("child", {SLEEP!r}).process.pid, flush=True)
    processes.wait()
"""
    parent = subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert parent.stdout
    child = int(parent.stdout.readline())

    parent.kill()
    parent.communicate()

    wait_for(lambda: has_ended(child))


def test_a_reader_that_stops_reading_does_not_stop_the_service(tmp_path):
    """A pipe holds 64 KiB; the child says 16 times as much."""
    mark = tmp_path / "went-on"
    chatty = f"for _ in range(10_000): print('x' * 100)\nopen({str(mark)!r}, 'w')\nimport time; time.sleep(60)"
    code = f"""
from operations.supervisor import StopRequested, Supervisor
with Supervisor() as processes:
    processes.start("chatty", {python(chatty)!r})
    try:
        processes.wait()
    except StopRequested:
        pass
"""
    with subprocess.Popen(python(code), stdout=subprocess.PIPE) as parent:  # noqa: S603
        wait_for(mark.exists)
        parent.terminate()
        assert parent.wait(10) == 0
