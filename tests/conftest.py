"""One embedded PostgreSQL a session; each test gets a database, and has a name, of its own."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import Engine

from include.local.postgres import Cluster
from include.warehouse.connect import engine_for
from include.warehouse.migrate import migrate

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of tests with one node id, xdist would run one and say nothing of the others."""
    twice = [name for name, times in Counter(item.nodeid for item in items).items() if times > 1]
    if twice:
        raise pytest.UsageError(f"several tests have one node id: {twice}")


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
