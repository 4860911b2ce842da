"""The Postgres of the product's tests is the benchmark's, too."""

from tests.conftest import database_url, postgres_server

__all__ = ["database_url", "postgres_server"]
