"""The embedded PostgreSQL starts, stops, survives a kill and an odd path, and listens on no network."""

import os
import signal
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg2
import pytest

from include.gong.local.postgres import Cluster


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "ein schöner Ort" / "postgres"


@pytest.fixture
def cluster(directory: Path) -> Iterator[Cluster]:
    cluster = Cluster(directory, durable=False)
    cluster.start()
    yield cluster
    cluster.stop()


def test_it_keeps_its_data_over_a_restart(cluster: Cluster) -> None:
    cluster.ensure_database("gong")
    cluster.ensure_database("gong")
    _ask(cluster, "CREATE TABLE kept AS SELECT 'ü' AS word")
    cluster.stop()
    assert cluster.running_pid() is None
    cluster.start()
    assert _ask(cluster, "SELECT word FROM kept") == "ü"


def test_stop_is_harmless_when_nothing_runs(directory: Path) -> None:
    Cluster(directory).stop()


def test_only_this_machine_with_the_password_gets_in(cluster: Cluster) -> None:
    process = psutil.Process(cluster.running_pid() or 0)
    listening = [each for each in process.net_connections("all") if each.status == psutil.CONN_LISTEN]
    assert {each.laddr.ip for each in listening} == {"127.0.0.1"}
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(
            host="127.0.0.1", port=cluster.port, user="postgres", password="guess", dbname="postgres"
        )
    assert stat.S_IMODE((cluster.directory / "password").stat().st_mode) == 0o600


def test_the_server_of_a_killed_command_is_replaced(cluster: Cluster, directory: Path) -> None:
    left_behind = cluster.running_pid()
    successor = Cluster(directory, durable=False)
    successor.start()
    try:
        assert successor.running_pid() not in (None, left_behind)
    finally:
        successor.stop()


def test_a_server_of_files_that_were_moved_since_is_replaced(cluster: Cluster, directory: Path) -> None:
    left_behind = cluster.running_pid()
    moved = Cluster(directory.rename(directory.with_name("moved")), durable=False)
    assert moved.running_pid() == left_behind
    moved.start()
    try:
        assert moved.running_pid() not in (None, left_behind)
    finally:
        moved.stop()


def test_a_server_of_which_a_process_lives_is_waited_for(cluster: Cluster, directory: Path) -> None:
    """A second server beside it would ruin the data."""
    _ask(cluster, "SELECT 1", "postgres")
    server = psutil.Process(cluster.running_pid() or 0)
    remaining = server.children()
    for process in remaining:
        with suppress(psutil.NoSuchProcess):  # one that lives for a moment only
            process.suspend()
    server.kill()
    cluster.stop()
    with ThreadPoolExecutor() as pool:
        successor = Cluster(directory, durable=False)
        start = pool.submit(successor.start)
        with pytest.raises(TimeoutError):
            start.result(1)
        for process in remaining:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        start.result(20)
    successor.stop()


def test_a_killed_server_loses_no_committed_data(directory: Path) -> None:
    cluster = Cluster(directory)
    cluster.start()
    try:
        cluster.ensure_database("gong")
        _ask(cluster, "CREATE TABLE kept AS SELECT 1 AS n")
        os.kill(cluster.running_pid() or 0, signal.SIGKILL)
        cluster.start()
        assert _ask(cluster, "SELECT n FROM kept") == 1
    finally:
        cluster.stop()


def test_a_stale_pid_file_of_another_process_is_no_obstacle(cluster: Cluster, directory: Path) -> None:
    cluster.stop()
    (directory / "data" / "postmaster.pid").write_text(f"{os.getppid()}\n/elsewhere\n")
    cluster.start()
    assert cluster.running_pid()


def test_an_unfinished_first_start_is_started_over(directory: Path) -> None:
    (directory / "data.new").mkdir(parents=True)
    (directory / "data.new" / "half").touch()
    cluster = Cluster(directory, durable=False)
    cluster.start()
    cluster.stop()
    assert not (directory / "data.new").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to run it as")
def test_as_root_it_runs_as_another_user(cluster: Cluster) -> None:
    assert psutil.Process(cluster.running_pid() or 0).uids().real != 0
    assert stat.S_IMODE((cluster.directory / "data").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to run it as")
def test_as_root_it_opens_no_folder_above_to_everyone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    cluster = Cluster(home / "postgres", durable=False)
    for _ in range(2):  # the second finds the list of the first
        cluster.start()
        cluster.stop()
        assert home.stat().st_mode & stat.S_IRWXO == 0


def _ask(cluster: Cluster, statement: str, database: str = "gong") -> object:
    connection = psycopg2.connect(cluster.url(database).replace("+psycopg2", ""))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()[0][0] if cursor.description else None
    finally:
        connection.close()
