"""One PostgreSQL for the tests of the benchmark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.harness import postgres
from include.local.postgres import Cluster


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Cluster]:
    """A running server that trades durability for speed."""
    with postgres(durable=False) as cluster:
        yield cluster


@pytest.fixture
def database_url(postgres_server: Cluster) -> str:
    """The URL of an empty database."""
    postgres_server.ensure_database("rows")
    return postgres_server.url("rows")
