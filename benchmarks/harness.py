"""Runs a contestant against a service of its own and an empty database, and verifies all rows."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import psycopg2
import requests
from sqlalchemy import make_url

from benchmarks.company import Company
from benchmarks.contestants import BENCH, Contestant, without_ours
from benchmarks.rows import differences, served
from include.gong.local.postgres import Cluster
from include.gong.local.settings import ROOT

SECONDS = 3600
_numbers = count(1)


@dataclass(frozen=True)
class Account:
    """The account of a fast Gong.

    :ivar changes_each: changes of every user; None: a realistic spread.
    :ivar a_day_later: one of 200 users has one more change.
    :ivar latency_s: seconds before each response; ``rate``: calls in any second, 0: no limit.
    """

    users: int
    changes_each: int | None = None
    latency_s: float = 0
    rate: int = 0
    a_day_later: bool = False

    def company(self) -> Company:
        """Return the same company as the service's."""
        return Company(self.users, changes_each=self.changes_each, a_day_later=self.a_day_later)


@dataclass
class Outcome:
    """One run of one contestant.

    :ivar seconds: duration of the load, measured by the program itself, without its start.
    :ivar process_seconds: duration of the whole process, measured from outside.
    :ivar peak_mb: peak resident memory.
    :ivar counts: the service's calls meanwhile, by kind.
    :ivar wrong: the difference of its rows, or why it failed; empty: all rows are right.
    :ivar limit_seconds: duration of the limit with the same account.
    :ivar more: further values that the program printed.
    """

    contestant: str
    users: int
    seconds: float = 0
    process_seconds: float = 0
    peak_mb: float = 0
    counts: dict[str, float] = field(default_factory=dict)
    wrong: str = ""
    limit_seconds: float = 0
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """The ratio to the limit."""
        return self.seconds / self.limit_seconds if self.limit_seconds else 0


class Server(Protocol):
    """A PostgreSQL to measure with: a ``Cluster``, or one that runs already."""

    def url(self, database: str) -> str:
        """Return the SQLAlchemy address of a database."""

    def ensure_database(self, name: str) -> None:
        """Create the database unless it exists."""


class RunningServer:
    """A PostgreSQL that runs already; the benchmark's databases get a random prefix.

    :param address: of any database, with a role that may create databases.
    """

    def __init__(self, address: str) -> None:
        self._address = make_url(address).set(drivername="postgresql+psycopg2")
        self._prefix = f"gong_bench_{secrets.token_hex(4)}_"
        self._made: set[str] = set()

    def url(self, database: str) -> str:
        """Return the address of a prefixed database; ``postgres`` has no prefix."""
        name = database if database == "postgres" else self._prefix + database
        return self._address.set(database=name).render_as_string(hide_password=False)

    def ensure_database(self, name: str) -> None:
        """Create it unless it exists."""
        if name not in self._made:
            execute(self, f"CREATE DATABASE {self._prefix}{name} ENCODING 'UTF8' TEMPLATE template0")
            self._made.add(name)

    def drop_all(self) -> None:
        """Drop the created databases."""
        for name in self._made:
            drop(self, name)


@contextmanager
def postgres(address: str = "", *, durable: bool = True) -> Iterator[Server]:
    """Start a new PostgreSQL; durable: with default settings, so that every commit is on disk.

    :param address: of a running server to use instead; the benchmark's databases are dropped at the end.
    """
    if address:
        running = RunningServer(address)
        try:
            yield running
        finally:
            running.drop_all()
        return
    directory = Path(tempfile.mkdtemp(prefix="gong-bench-"))
    cluster = Cluster(directory, durable=durable)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def service(account: Account) -> Iterator[str]:
    """Start a fast Gong with that account in a process of its own; yields its address."""
    command = [sys.executable, "-m", "benchmarks.gong_fast", "--users", str(account.users)]
    command += ["--latency", str(account.latency_s), "--rate", str(account.rate)]
    if account.changes_each is not None:
        command += ["--changes-each", str(account.changes_each)]
    if account.a_day_later:
        command.append("--a-day-later")
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError("The fast Gong did not start")
        yield address
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def environment() -> dict[str, str]:
    """Return the environment of our own contestants: this checkout, without the caller's Airflow."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    paths = os.pathsep.join((str(ROOT), str(ROOT / "plugins")))
    return clean | {
        "PYTHONPATH": paths,
        "AIRFLOW_HOME": str(BENCH / "home"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    }


class Runner:
    """Runs contestants against one service, each with an empty database.

    :param check: compare all rows after each run.
    """

    def __init__(self, cluster: Server, account: Account, address: str, *, check: bool = True) -> None:
        self._cluster = cluster
        self._account = account
        self._address = address
        self._expected = served(account.company()) if check else None

    def run(self, contestant: Contestant, database: str = "", **variables: str) -> Outcome:
        """Run it once.

        :param database: an existing one instead of an empty one.
        :param variables: additional environment variables.
        """
        name = database or f"run{next(_numbers)}"
        self._cluster.ensure_database(name)
        url = self._cluster.url(name).replace("+psycopg2", "")
        arguments = ["--gong", self._address, "--postgres", url, "--users", str(self._account.users)]
        outcome = Outcome(contestant.name, self._account.users)
        command = [*contestant.command, *arguments]
        own = environment() if contestant.requirements is None else without_ours(environment())
        before, begin = self.counts(), time.perf_counter()
        line, error = _run_to_its_end(command, own | variables)
        if error:
            outcome.wrong = f"failed: {error}"
            return outcome
        outcome.process_seconds = time.perf_counter() - begin
        outcome.counts = {kind: number - before[kind] for kind, number in self.counts().items()}
        results = json.loads(line)
        outcome.seconds, outcome.peak_mb = results.pop("seconds"), results.pop("peak_mb")
        outcome.more = results
        if self._expected:
            outcome.wrong = differences(url, contestant.users_sql, contestant.changes_sql, self._expected)
        if not database:  # free the disk for the next contestant
            drop(self._cluster, name)
        return outcome

    def counts(self) -> dict[str, float]:
        """Return the service's calls so far, by kind."""
        counts: dict[str, float] = requests.get(f"{self._address}/bench/counts", timeout=30).json()
        return {name: number for name, number in counts.items() if name != "requestId"}


def drop(cluster: Server, name: str) -> None:
    """Drop a database, if it exists."""
    execute(cluster, f"DROP DATABASE IF EXISTS {make_url(cluster.url(name)).database} WITH (FORCE)")


def execute(cluster: Server, statement: str) -> Any:
    """Execute a statement outside of a transaction and return its first value, if any."""
    connection = psycopg2.connect(cluster.url("postgres").replace("+psycopg2", ""))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None
    finally:
        connection.close()


def log(line: str) -> None:
    """Print a line of progress."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _run_to_its_end(command: list[str], variables: dict[str, str]) -> tuple[str, str]:
    """Run a program and return its last line, or an error; kills all processes that it started."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "", f"no end within {SECONDS} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        return "", (errors.strip().splitlines() or ["no output"])[-1][:300]
    return output.strip().splitlines()[-1], ""
