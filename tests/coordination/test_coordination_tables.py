"""The tables that workers share gain what a newer version of the provider needs, with their rows."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Engine, make_url

from gong_provider.client.errors import GongCoordinationError
from gong_provider.db.engine import Database, engine_for
from include.gong.warehouse.migrate import migrate
from tests.warehouse.making import value

OLDER = """
    INSERT INTO gong.api_quota (account, refusals) VALUES ('acme', 3);
    INSERT INTO gong.oauth_tokens (account, generation, refresh_token, seeds) VALUES ('acme', 4, 'x', '{s}');
    ALTER TABLE gong.api_quota DROP COLUMN filter_path, DROP COLUMN next_at;
    ALTER TABLE gong.oauth_tokens DROP COLUMN refused_in_a_row;
    DROP VIEW gong.api_usage;
"""


def run(engine: Engine, statement: str) -> object:
    """Run a statement as a new worker does."""
    database = Database(engine)
    try:
        return asyncio.run(database.run(statement, {}))
    finally:
        database.close()


@pytest.mark.parametrize("by_migration", [True, False])
def test_a_table_gains_the_columns_it_lacks_and_keeps_its_rows(warehouse: Engine, by_migration: bool) -> None:
    with warehouse.begin() as connection:
        connection.exec_driver_sql(OLDER)
    if by_migration:
        assert migrate(warehouse)
    quota = run(warehouse, "SELECT refusals, filter_path, next_at < now() FROM api_quota")
    assert quota == (3, None, True)
    tokens = "SELECT generation, refresh_token, seeds, refused_in_a_row FROM oauth_tokens"
    assert run(warehouse, tokens) == (4, "x", ["s"], 0)
    assert run(warehouse, "SELECT sum(calls) FROM api_usage") == (None,)
    assert not migrate(warehouse)
    about = "SELECT col_description(attrelid, attnum) FROM pg_attribute WHERE attname = 'filter_path'"
    assert value(warehouse, about).startswith("The path")


def test_a_login_that_may_not_create_them_is_told_what_to_do_without_a_checkout(database_url: str) -> None:
    url = make_url(database_url)
    name = f"caller_{url.database}"
    with engine_for(url).begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'few'")
    with pytest.raises(GongCoordinationError, match="42501") as caught:
        run(engine_for(url.set(username=name, password="few")), "SELECT 1")
    assert "its first call" in str(caught.value)
    assert "migrate" not in str(caught.value)
