"""One embedded PostgreSQL a session, a database and a name for each test; which tests share a process."""

from __future__ import annotations

import getpass
import itertools
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg2
import pytest
from sqlalchemy import Engine
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from include.local.postgres import Cluster
from include.warehouse.connect import engine_for
from include.warehouse.migrate import migrate

our_folder = pytest.StashKey[Path]()
PYTESTS = {f"pytest-of-{getpass.getuser()}"}
SHARE_A_STACK = ("tests/stack/", "tests/end_to_end/", "tests/dags/", "tests/chaos/")
_numbers = itertools.count(1)


class _FilesAndFolders(LoadFileScheduling):  # type: ignore[misc]
    """A file's tests share a process; a folder's, where they share what takes a minute to start."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((folder for folder in SHARE_A_STACK if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """What make test has for --dist loadfile."""
    return _FilesAndFolders(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of tests with one node id, xdist would run one and say nothing of the others."""
    twice = [name for name, times in Counter(item.nodeid for item in items).items() if times > 1]
    if twice:
        raise pytest.UsageError(f"several tests have one node id: {twice}")


def pytest_configure(config: pytest.Config) -> None:
    """All that tests make is in one temporary folder, by which processes that they started are known, too."""
    if not hasattr(config, "workerinput"):  # xdist's workers have that of their parent
        folder = tempfile.mkdtemp(prefix="gong-tests-")
        config.stash[our_folder] = Path(folder)
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        # Ended from outside, a session ends as by Ctrl-C: with what its tests started.
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """A session that leaves a process or a file fails, and says which."""
    yield
    folder = session.config.stash.get(our_folder, None)
    if folder is None:
        return
    left = [*processes_of(folder), *(path for path in folder.iterdir() if path.name not in PYTESTS)]
    if left:
        print(f"\nLeft by the tests: {left}")  # noqa: T201
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    elif not session.testsfailed:
        shutil.rmtree(folder, ignore_errors=True)


def processes_of(folder: Path) -> list[psutil.Process]:
    """Those that were started by the session of this folder and have not ended some seconds after it."""

    def found() -> list[psutil.Process]:
        ours = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                known_by = f"{process.environ().get('TMPDIR')} {process.cwd()}"
                if process.pid != os.getpid() and str(folder) in known_by:
                    ours.append(process)
        return ours

    _, alive = psutil.wait_procs(found(), timeout=5)
    return alive


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Cluster]:
    """A running server that trades durability for speed; stopped and removed at the end."""
    # Not pytest's own directory: its parents are closed to the user that PostgreSQL runs as.
    directory = Path(tempfile.mkdtemp(prefix="gong-test-"))
    cluster = Cluster(directory, durable=False)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def database_url(postgres_server: Cluster) -> str:
    """The URL of a fresh, empty database."""
    return _create_database(postgres_server, "template1")


@pytest.fixture(scope="session")
def migrated_template(postgres_server: Cluster) -> str:
    """The name of a migrated database to copy: faster than migrating for each test."""
    engine = engine_for(_create_database(postgres_server, "template1"))
    migrate(engine)
    engine.dispose()
    return str(engine.url.database)


@pytest.fixture
def warehouse(postgres_server: Cluster, migrated_template: str) -> Iterator[Engine]:
    """An engine on a fresh, migrated database."""
    engine = engine_for(_create_database(postgres_server, migrated_template))
    yield engine
    engine.dispose()


def _create_database(server: Cluster, template: str) -> str:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    admin = psycopg2.connect(server.url("postgres").replace("+psycopg2", ""))
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    admin.close()
    return server.url(name)
