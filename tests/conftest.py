"""One PostgreSQL per session, one database per test, and the distribution of tests to processes."""

from __future__ import annotations

import getpass
import itertools
import multiprocessing.util
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
from hypothesis import settings
from sqlalchemy import Engine
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from include.gong.local.postgres import Cluster
from include.gong.warehouse.connect import engine_for
from include.gong.warehouse.migrate import migrate
from tests.support.pooled import PooledCluster

our_folder = pytest.StashKey[Path]()
PYTESTS = {f"pytest-of-{getpass.getuser()}"}
SHARE_A_STACK = ("tests/stack/", "tests/end_to_end/", "tests/interrupted/", "tests/dags/", "tests/chaos/")
_numbers = itertools.count(1)
# The same cases each time; --hypothesis-profile default tries others.
settings.register_profile("the same cases", derandomize=True, database=None)
settings.load_profile("the same cases")


class _FilesAndFolders(LoadFileScheduling):  # type: ignore[misc]
    """Runs the tests of a file in one process, and of a whole folder if they share a stack."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((folder for folder in SHARE_A_STACK if file.startswith(folder)), file)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose the server of a test run."""
    parser.addoption("--jit", action="store_true", help="use the machine's PostgreSQL, which has JIT")
    parser.addoption(
        "--postgres", type=Path, metavar="BIN", help="use the PostgreSQL programs in this folder"
    )
    parser.addoption("--pgbouncer", action="store_true", help="use the server through PgBouncer")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """Replace --dist loadfile, which make test uses."""
    return _FilesAndFolders(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse duplicate node ids: xdist would silently run only one of these tests."""
    twice = [name for name, times in Counter(item.nodeid for item in items).items() if times > 1]
    if twice:
        raise pytest.UsageError(f"several tests have one node id: {twice}")


def pytest_configure(config: pytest.Config) -> None:
    """Create one temporary folder for all files of tests; it also identifies processes that they started."""
    if not hasattr(config, "workerinput"):  # xdist's workers use their parent's
        multiprocessing.util.get_temp_dir()  # elsewhere: Python removes it after this session's folder
        folder = tempfile.mkdtemp(prefix="gong-tests-")
        Path(folder).chmod(0o711)  # servers that run as another user have their files within
        config.stash[our_folder] = Path(folder)
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        # SIGTERM ends a session like Ctrl-C, together with everything its tests started.
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Fail a session that leaves a process or a file behind, and name it."""
    yield
    folder = session.config.stash.get(our_folder, None)
    if folder is None:
        return
    leftovers = [*processes_of(folder), *(path for path in folder.iterdir() if path.name not in PYTESTS)]
    if leftovers:
        print(f"\nLeft by the tests: {leftovers}")  # noqa: T201
        for process in leftovers:
            if isinstance(process, psutil.Process):
                with suppress(psutil.Error):
                    process.kill()
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    elif not session.testsfailed:
        shutil.rmtree(folder, ignore_errors=True)


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return processes started by the session of this folder that still run some seconds after it."""

    def found() -> list[psutil.Process]:
        ours = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                folders = f"{process.environ().get('TMPDIR')} {process.cwd()}"
                is_pythons = "from multiprocessing." in " ".join(process.cmdline())  # ends with this process
                if process.pid != os.getpid() and str(folder) in folders and not is_pythons:
                    ours.append(process)
        return ours

    _, alive = psutil.wait_procs(found(), timeout=5)
    return alive


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running server that trades durability for speed; stopped and removed at the end."""
    chosen = request.config.getoption
    programs = chosen("postgres") or (programs_with_jit() if chosen("jit") else None)
    # Not pytest's own directory: PostgreSQL's user can't enter its parents.
    directory = Path(tempfile.mkdtemp(prefix="gong-test-"))
    kind = PooledCluster if chosen("pgbouncer") else Cluster
    cluster = kind(directory, durable=False, programs=programs)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def database_url(postgres_server: Cluster) -> Iterator[str]:
    """The URL of a fresh, empty database."""
    url = _create_database(postgres_server, "template1")
    yield url
    _drop_database(postgres_server, url)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: Cluster) -> str:
    """The name of a migrated database to copy: faster than migrating for each test."""
    name = _create_database(postgres_server, "template1").rpartition("/")[2]
    engine = engine_for(_without_pooler(postgres_server, name))
    migrate(engine)
    engine.dispose()
    return name


@pytest.fixture
def warehouse(postgres_server: Cluster, migrated_template: str) -> Iterator[Engine]:
    """An engine on a fresh, migrated database."""
    url = _create_database(postgres_server, migrated_template)
    engine = engine_for(url)
    yield engine
    engine.dispose()
    _drop_database(postgres_server, url)


def programs_with_jit() -> Path:
    """Return the programs of Debian's PostgreSQL, as the embedded one has no JIT.

    Without it, tests are skipped with a hint how to install it (in CI, they fail).
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/lib/llvmjit.so"), key=lambda path: int(path.parts[-3]))
    if not found:
        refuse = pytest.fail if os.environ.get("GONG_JIT") == "required" else pytest.skip
        refuse("These tests need a PostgreSQL with JIT. Debian: apt-get install postgresql.")
    return found[-1].parents[1] / "bin"


def _create_database(server: Cluster, template: str) -> str:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    return server.url(name)


def _drop_database(server: Cluster, url: str) -> None:
    """Drop a database at once: hundreds of them would be gigabytes on the disk."""
    _execute(server, f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")


def _execute(server: Cluster, statement: str) -> None:
    admin = psycopg2.connect(_without_pooler(server, "postgres").replace("+psycopg2", ""))
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(statement)
    admin.close()


def _without_pooler(server: Cluster, database: str) -> str:
    """Return a URL of the server itself: a pooler keeps connections, so a database could not be copied."""
    return Cluster.url(server, database)
