"""One PostgreSQL for the tests of the benchmark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.harness import Server, postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A running server that trades durability for speed."""
    with postgres(durable=False) as cluster:
        yield cluster


@pytest.fixture
def database_url(postgres_server: Server) -> str:
    """The URL of an empty database."""
    postgres_server.ensure_database("rows")
    return postgres_server.url("rows")
