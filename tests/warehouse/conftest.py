"""A warehouse of the small company, loaded once for tests that only read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from include.gong.local.postgres import Cluster
from tests.warehouse.small_company import replayed_once


@pytest.fixture(scope="session")
def company(postgres_server: Cluster, migrated_template: str) -> Iterator[Engine]:
    with replayed_once(postgres_server, migrated_template) as engine:
        yield engine
