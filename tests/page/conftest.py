"""The small company of the page's tests: loaded once, only read."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Engine

from include.gong.local.postgres import Cluster
from include.gong.warehouse.checks import run_checks
from include.gong.warehouse.connect import transaction
from tests.page.served import served_from
from tests.warehouse.small_company import at, replayed_once, run_of

USAGE = """
    INSERT INTO api_calls VALUES
        ('acme', '2026-03-04 23:59', 'list_users', 1), ('acme', '2026-03-05 10:00', 'settings_history', 7),
        ('acme', '2026-03-05 10:01', 'settings_history', 2), ('acme', '2026-03-06 00:30', 'list_users', 4),
        ('acme', '2026-03-06 00:31', 'settings_history', 8)
"""


@pytest.fixture(scope="session")
def company(postgres_server: Cluster, migrated_template: str) -> Iterator[Engine]:
    """The whole story, its calls, and what the checks of the last run found."""
    with replayed_once(postgres_server, migrated_template) as engine:
        with transaction(engine) as connection:
            connection.exec_driver_sql(USAGE)
            run_checks(connection, run_of(6), at(6, "00:34"))
        yield engine


@pytest.fixture(scope="session")
def page(company: Engine) -> Iterator[httpx.Client]:
    """A client of the page on it."""
    with served_from(company.url) as client:
        yield client
