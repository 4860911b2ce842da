"""The schema's name is a setting, and nothing outside that schema is ever touched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import Connection as AirflowConnection
from sqlalchemy import Engine, make_url, text

from include.gong.local.connections import warehouse_url
from include.gong.warehouse.connect import address_of, engine_for, schema_of, transaction
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.migrate import migrate
from tests.warehouse.loading import full_load
from tests.warehouse.making import NOON, load_page, rows, value


def in_schema(database_url: str, schema: str) -> Engine:
    return engine_for(make_url(database_url).update_query_dict({"gong_schema": schema}))


@pytest.fixture
def two(database_url: str) -> Iterator[tuple[Engine, Engine]]:
    """Two warehouses in one database."""
    engines = in_schema(database_url, "acme"), in_schema(database_url, "user")  # a word of SQL's own
    for engine in engines:
        migrate(engine)
    yield engines
    for engine in engines:
        engine.dispose()


def use(engine: Engine, user_id: str) -> None:
    """A user of its own, and all that a run does."""
    load_page(engine, [{"id": user_id}])
    full_load(engine)


def test_two_schemas_in_one_database_do_not_see_each_other(two: tuple[Engine, Engine]) -> None:
    for name, engine in zip("ab", two, strict=True):
        use(engine, name)
    for name, engine in zip("ab", two, strict=True):
        theirs = "SELECT user_id FROM {} WHERE user_id IN ('a', 'b')"
        for relation in ("users", "users_as_of(:at)", "user_sync_state"):
            assert rows(engine, theirs.format(relation), at=NOON) == [(name,)]
        assert value(engine, "SELECT count(*) FROM user_settings_history") == 1
        assert value(engine, "SELECT sum(calls) FROM api_usage") == 1
        assert value(engine, "SELECT count(*) FROM oauth_tokens") == 1
        assert not migrate(engine)
    assert value(two[0], "SELECT to_regnamespace('gong')") is None


def test_a_schema_with_everything_moves_to_another_name(two: tuple[Engine, Engine]) -> None:
    use(two[0], "a")
    with transaction(two[0]) as connection:
        connection.execute(text("ALTER SCHEMA acme RENAME TO moved"))
    moved = engine_for(two[0].url.update_query_dict({"gong_schema": "moved"}))
    assert not migrate(moved)
    use(moved, "b")
    assert value(moved, "SELECT count(*) FROM users_as_of(:at)", at=NOON) == 5
    moved.dispose()


OTHERS = """
    CREATE SCHEMA crm;
    CREATE TABLE {schema}.users (user_id text PRIMARY KEY, note text);
    INSERT INTO {schema}.users VALUES ('1', 'theirs');
    CREATE TABLE {schema}.user_versions AS TABLE {schema}.users;
    CREATE TABLE {schema}.user_sync_state AS TABLE {schema}.users;
    CREATE TABLE {schema}.sync_runs AS TABLE {schema}.users;
    CREATE TABLE {schema}.api_quota AS TABLE {schema}.users;
    CREATE TABLE {schema}.oauth_tokens AS TABLE {schema}.users;
    CREATE TABLE {schema}.alembic_version (version_num text);
    INSERT INTO {schema}.alembic_version VALUES ('0001');
    CREATE VIEW {schema}.api_usage AS SELECT * FROM {schema}.users;
    CREATE FUNCTION {schema}.users_as_of(timestamptz) RETURNS SETOF {schema}.users
        LANGUAGE sql BEGIN ATOMIC SELECT * FROM {schema}.users; END;
    CREATE TYPE {schema}.user_period AS ENUM ('theirs');
"""

# All that is not ours, as Postgres itself says it: relations, columns, functions, types, comments, rights.
CATALOGS = {
    "relations": "SELECT oid, relname, relkind, relacl::text, reltuples IS NULL FROM pg_class "
    "WHERE relnamespace = ANY (:theirs)",
    "columns": "SELECT attrelid, attname, atttypid, attacl::text FROM pg_attribute "
    "JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = ANY (:theirs)",
    "functions": "SELECT oid, proname, prosrc, proacl::text FROM pg_proc WHERE pronamespace = ANY (:theirs)",
    "types": "SELECT oid, typname, typacl::text FROM pg_type WHERE typnamespace = ANY (:theirs)",
    "schemas": "SELECT oid, nspname, nspacl::text FROM pg_namespace "
    "WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'gong'",
    "comments": "SELECT objoid, objsubid, description FROM pg_description "
    "JOIN pg_class ON pg_class.oid = objoid WHERE relnamespace = ANY (:theirs)",
    "settings": "SELECT setdatabase, setrole, setconfig::text FROM pg_db_role_setting",
    "extensions": "SELECT extname FROM pg_extension",
    "roles": "SELECT rolname FROM pg_roles",
}


def all_of_theirs(engine: Engine) -> dict[str, list[Any]]:
    namespaces = "SELECT oid FROM pg_namespace WHERE nspname IN ('crm', 'public')"
    theirs = [oid for (oid,) in rows(engine, namespaces)]
    seen = {name: sorted(rows(engine, query, theirs=theirs), key=repr) for name, query in CATALOGS.items()}
    tables = rows(
        engine,
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = ANY (:theirs)",
        theirs=theirs,
    )
    # xmin too: not even rewritten.
    return seen | {name: rows(engine, f"SELECT xmin::text, t::text FROM {name} AS t") for (name,) in tables}


@pytest.mark.parametrize("schema", ["crm", "public"])
def test_tables_of_others_stay_as_they_are_whatever_comes_first_in_the_search_path(
    database_url: str, schema: str
) -> None:
    owner = in_schema(database_url, "elsewhere")
    with owner.begin() as connection:
        connection.exec_driver_sql(OTHERS.format(schema=schema))
        database = make_url(database_url).database
        connection.exec_driver_sql(f"ALTER DATABASE {database} SET search_path TO {schema}, public")
    owner.dispose()
    engine = engine_for(database_url)
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW search_path")) == f"{schema}, public"
    before = all_of_theirs(engine)
    assert migrate(engine)
    use(engine, "1")
    use(engine, "2")
    assert all_of_theirs(engine) == before
    assert f"{schema}.users" in before
    engine.dispose()


def test_an_owner_of_the_schema_alone_migrates_and_loads(database_url: str) -> None:
    admin = engine_for(database_url)
    name = f"owner_{make_url(database_url).database}"
    with transaction(admin) as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'few'")
        connection.exec_driver_sql(f"CREATE SCHEMA gong AUTHORIZATION {name}")
    few = engine_for(make_url(database_url).set(username=name, password="few"))
    assert value(few, "SELECT has_database_privilege(current_database(), 'CREATE')") is False
    assert migrate(few)
    use(few, "1")
    elsewhere = engine_for(few.url.update_query_dict({"gong_schema": "elsewhere"}))
    with pytest.raises(WarehouseError, match="SQLSTATE 42501"):
        migrate(elsewhere)
    elsewhere.dispose()
    few.dispose()


@pytest.mark.parametrize(
    "name",
    ["Gong", "1st", "a-b", 'a"b', "a b", "a;b", "public", "pg_gong", "information_schema", "a" * 64],
)
def test_a_name_that_can_not_be_is_refused(name: str) -> None:
    with pytest.raises(WarehouseError, match="gong_schema"):
        in_schema("postgres://u:p@h:1/d", name)


def test_an_empty_name_in_a_form_is_gong() -> None:
    assert schema_of(in_schema("postgres://u:p@h:1/d", "").url) == "gong"


@pytest.mark.parametrize(
    "given",
    [
        "postgres://u:p@h:1/d?gong_schema=acme&sslmode=require",
        '{"conn_type": "postgres", "host": "h", "port": 1, "login": "u", "password": "p", "schema": "d", '
        '"extra": {"gong_schema": "acme", "sslmode": "require"}}',
        '{"conn_type": "postgres", "host": "h", "port": 1, "login": "u", "password": "p", "schema": "d", '
        '"extra": {"sqlalchemy_query": {"gong_schema": "acme"}, "sslmode": "require"}}',
    ],
)
def test_the_name_is_given_in_each_form_of_the_connection(given: str) -> None:
    if given.startswith("{"):
        fields = json.loads(given)
        connection = AirflowConnection(conn_id="c", **{**fields, "extra": json.dumps(fields["extra"])})
    else:
        connection = AirflowConnection(conn_id="c", uri=given)  # type: ignore[call-arg]
    for url in (address_of(connection), warehouse_url(given)):
        assert schema_of(url) == "acme"
        assert url.query["sslmode"] == "require"


def test_airflows_own_hook_takes_the_connection_where_the_name_is_in_sqlalchemy_query(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_url(database_url)
    connection = {
        "conn_type": "postgres", "host": url.host, "port": url.port, "login": url.username,
        "password": url.password, "schema": url.database,
        "extra": {"sqlalchemy_query": {"gong_schema": "acme"}},
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_GONG_POSTGRES", json.dumps(connection))
    assert PostgresHook("gong_postgres").get_records("SELECT 1") == [(1,)]
