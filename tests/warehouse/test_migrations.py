"""Upgrades, with a made-up next version: no row is lost, no view flips back, a refusal changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, make_url

from include.gong.warehouse.connect import engine_for, schema_of, transaction
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.migrate import is_current, migrate
from tests.support.roles import LOADER, READER, Roles, make_roles
from tests.warehouse.loading import full_load
from tests.warehouse.making import load_page, rows, value
from tests.warehouse.next_code import REVISION, next_code

_DEFINITIONS = """
    SELECT relname, pg_get_viewdef(oid), obj_description(oid, 'pg_class')
    FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'v'
    UNION ALL
    SELECT oid::regprocedure::text, pg_get_functiondef(oid), obj_description(oid, 'pg_proc')
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
    ORDER BY 1
"""
_RIGHTS = """
    SELECT relname AS name, relowner::regrole::text, array(SELECT unnest(relacl)::text ORDER BY 1),
           array(SELECT attacl::text FROM pg_attribute WHERE attrelid = pg_class.oid AND attacl IS NOT NULL)
    FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'v'
    UNION ALL
    SELECT proname, proowner::regrole::text, array(SELECT unnest(proacl)::text ORDER BY 1), '{}'
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
    ORDER BY 1
"""
_GRANTS = """
    GRANT EXECUTE ON FUNCTION gong.settings_as_of TO gong_loader WITH GRANT OPTION;
    REVOKE ALL ON FUNCTION gong.user_states_as_of FROM gong_loader;
    REVOKE ALL ON gong.org_chart FROM gong_reader;
    GRANT SELECT (user_id, depth) ON gong.org_chart TO gong_reader;
    ALTER DEFAULT PRIVILEGES IN SCHEMA gong GRANT EXECUTE ON FUNCTIONS TO gong_reader;
"""
_TABLES = """
    SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
"""


def stored(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    tables = [name for (name,) in rows(engine, _TABLES)]
    return {name: rows(engine, f"SELECT * FROM {name} AS t ORDER BY t::text") for name in sorted(tables)}


def definitions(engine: Engine) -> list[list[str]]:
    """Of all views and functions, whatever the schema's name."""
    own = f"{schema_of(engine.url)}."
    return [[each.replace(own, "") for each in row] for row in rows(engine, _DEFINITIONS)]


@pytest.fixture
def next_(tmp_path: Path) -> Path:
    return next_code(tmp_path)


@pytest.fixture(params=["gong", "acme"])
def roles(database_url: str, request: pytest.FixtureRequest) -> Iterator[Roles]:
    """A filled warehouse of today's version, whose owner is no superuser, with rights of several kinds."""
    made = make_roles(make_url(database_url).update_query_dict({"gong_schema": request.param}))
    migrate(made.owner)
    made.run(made.owner, LOADER)
    made.run(made.owner, READER)
    made.run(made.owner, _GRANTS)
    full_load(made.loader)
    yield made
    made.close()


def test_an_upgrade_keeps_rows_and_rights(roles: Roles, next_: Path) -> None:
    before, rights = stored(roles.owner), rows(roles.owner, _RIGHTS)
    assert migrate(roles.owner, next_)
    after = stored(roles.owner)
    assert after.pop("made_up") == []
    assert [row[:-1] for row in after.pop("sync_runs")] == before.pop("sync_runs")
    assert after.pop("alembic_version") == [(REVISION,)]
    del before["alembic_version"]
    assert after == before
    assert rows(roles.owner, _RIGHTS) == rights
    assert value(roles.loader, "SELECT count(*) FROM made_up") == 0
    assert rows(roles.reader, "SELECT complete_until FROM settings_as_of(now())")
    with pytest.raises(WarehouseError, match="SQLSTATE 42501"):
        rows(roles.reader, "SELECT name FROM org_chart")
    signatures = "SELECT pg_get_function_arguments(oid) FROM pg_proc WHERE proname = 'setting_label'"
    assert rows(roles.owner, signatures) == [("setting_key text, also text DEFAULT ''::text",)]
    assert not migrate(roles.loader, next_)
    full_load(roles.loader)


def test_an_upgraded_schema_equals_a_new_one(roles: Roles, next_: Path, database_url: str) -> None:
    migrate(roles.owner, next_)
    new = make_url(database_url).update_query_dict({"gong_schema": "made_anew"})
    other = engine_for(new)
    migrate(other, next_)
    assert definitions(other) == definitions(roles.owner)
    other.dispose()


def test_old_workers_beside_new_ones_load_and_change_no_view(warehouse: Engine, next_: Path) -> None:
    assert migrate(warehouse, next_)
    definitions = rows(warehouse, _DEFINITIONS)
    with pytest.raises(WarehouseError, match=f"{REVISION}.*newer"):
        migrate(warehouse)
    full_load(warehouse)  # of a run that was opened before the upgrade
    assert value(warehouse, "SELECT count(*) FROM users") == 3
    assert not migrate(warehouse, next_)
    assert rows(warehouse, _DEFINITIONS) == definitions


@pytest.mark.parametrize(
    ("used", "by"),
    [
        ("org_chart", "VIEW others.mine AS SELECT * FROM gong.org_chart"),
        (
            "org_chart",
            "FUNCTION others.mine() RETURNS SETOF gong.org_chart AS 'TABLE gong.org_chart' LANGUAGE sql",
        ),
        ("settings_as_of", "VIEW others.mine AS SELECT value FROM gong.settings_as_of('2026-03-10')"),
        ("settings_as_of", "VIEW others.mine AS SELECT * FROM gong.user_states_as_of('2026-03-10')"),
    ],
)
def test_a_view_of_others_that_a_drop_would_take_along_refuses_the_upgrade(
    warehouse: Engine, next_: Path, used: str, by: str
) -> None:
    with transaction(warehouse) as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA others; CREATE {by}")
    before = stored(warehouse), rows(warehouse, _DEFINITIONS)
    with pytest.raises(WarehouseError, match=rf"{used}.*others\.mine"):
        migrate(warehouse, next_)
    assert (stored(warehouse), rows(warehouse, _DEFINITIONS)) == before
    with transaction(warehouse) as connection:
        connection.exec_driver_sql("DROP SCHEMA others CASCADE")
    assert migrate(warehouse, next_)


def test_views_of_others_on_what_stays_stay(warehouse: Engine, next_: Path) -> None:
    load_page(warehouse, [{"id": "1", "title": "Head"}])
    with transaction(warehouse) as connection:
        connection.exec_driver_sql("""
            CREATE SCHEMA others;
            CREATE VIEW others.mine AS SELECT title FROM gong.users_with_managers;
        """)
    assert value(warehouse, "SELECT * FROM others.mine") == "Head"
    assert migrate(warehouse, next_)
    assert value(warehouse, "SELECT * FROM others.mine") == "Head."


@pytest.mark.parametrize(
    ("statement", "version"),
    [
        ("UPDATE alembic_version SET version_num = '0020'", "0020"),
        ("UPDATE alembic_version SET version_num = '0001'", "0001"),
        ("COMMENT ON TABLE alembic_version IS 'another'", "0.1.0"),
        ("DROP TABLE alembic_version", "none"),
    ],
)
def test_a_database_of_a_development_version_is_refused_with_its_version(
    warehouse: Engine, statement: str, version: str
) -> None:
    with transaction(warehouse) as connection:
        connection.exec_driver_sql(statement)
    for look in (migrate, is_current):
        with pytest.raises(WarehouseError, match=rf"development version \(its version: {version}"):
            look(warehouse)
