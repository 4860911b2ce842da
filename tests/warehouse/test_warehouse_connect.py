"""Connecting to the database, migrating it, and the errors of both."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from include.gong.local.postgres import Cluster, free_port
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.migrate import migrate
from tests.warehouse.making import rows, value

PROJECT = Path(__file__).parents[2]


def test_the_same_address_gives_the_same_engine() -> None:
    engine = engine_for("postgres://u:p@h:1/d")
    assert engine is engine_for("postgresql://u:p@h:1/d")
    assert engine.dialect.driver == "psycopg2"


@pytest.mark.parametrize("url", ["nonsense", "mysql://h/d", "postgresql://u:secret@h:notaport/d"])
def test_an_invalid_address_is_reported_without_repeating_it(url: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        engine_for(url)
    assert "secret" not in str(caught.value)


def test_each_trouble_in_reaching_it_has_its_sentence(postgres_server: Cluster) -> None:
    good = make_url(postgres_server.url("postgres"))
    troubles = {
        good.set(port=free_port()): "nothing answers there",
        good.set(host="no-such-host.invalid"): "host name is unknown",
        good.set(password="wrong-secret"): "refuses this login or password",
        good.set(database="missing"): "no database of this name",
    }
    for url, words in troubles.items():
        with pytest.raises(WarehouseError, match=words) as caught, transaction(engine_for(url)):
            pass
        assert f"{url.host}:{url.port}/{url.database}" in str(caught.value)
        assert str(url.password) not in str(caught.value)


def test_a_connection_lost_while_idle_is_made_again(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
    other = engine_for(warehouse.url.set(database="postgres"))
    with transaction(other) as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    other.dispose()
    assert value(warehouse, "SELECT 1") == 1


def test_a_connection_lost_in_a_transaction_is_one_sentence(warehouse: Engine) -> None:
    with pytest.raises(WarehouseError, match=r"57P01|connection"):
        rows(warehouse, "SELECT pg_terminate_backend(pg_backend_pid())")


def test_a_transaction_leaves_no_session_state(warehouse: Engine) -> None:
    def session() -> object:
        with warehouse.connect() as connection:
            settings = "SELECT current_setting('search_path'), current_setting('timezone')"
            return connection.execute(text(settings)).one()

    before = session()
    with transaction(warehouse) as connection:
        assert connection.scalar(text("SHOW timezone")) == "UTC"
    assert session() == before


def test_migrating_twice_does_nothing_the_second_time(database_url: str) -> None:
    logging.getLogger("kept").setLevel(logging.DEBUG)
    handlers = logging.getLogger().handlers[:]
    assert migrate(engine_for(database_url))
    assert not migrate(engine_for(database_url))
    assert logging.getLogger().handlers == handlers
    assert not logging.getLogger("kept").disabled


def test_two_migrations_at_once_are_fine(database_url: str) -> None:
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(migrate, [engine_for(database_url)] * 4))
    assert sorted(outcomes) == [False, False, False, True]


def test_a_failed_migration_leaves_nothing(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_late(_config: object, _revision: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("include.gong.warehouse.migrate.command.upgrade", fail_late)
    with pytest.raises(KeyboardInterrupt):
        migrate(engine_for(database_url))
    assert value(engine_for(database_url), "SELECT to_regnamespace('gong')::text") is None


def test_a_newer_database_is_refused(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9.9'")
    with pytest.raises(WarehouseError, match="newer"):
        migrate(warehouse)


def test_a_database_in_another_encoding_is_refused(postgres_server: Cluster) -> None:
    with engine_for(postgres_server.url("postgres")).connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
            "CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LOCALE_PROVIDER libc LOCALE 'C'"
        )
    with pytest.raises(WarehouseError, match="UTF8"):
        migrate(engine_for(postgres_server.url("latin")))


def test_a_loader_without_the_right_to_create_gets_instructions(database_url: str) -> None:
    url = make_url(database_url)
    name = f"loader_{url.database}"
    with transaction(engine_for(url)) as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'few'")
    few = engine_for(url.set(username=name, password="few"))
    with pytest.raises(WarehouseError, match="make migrate"):
        migrate(few)
    migrate(engine_for(url))
    with pytest.raises(WarehouseError, match="USAGE"):
        rows(few, "SELECT * FROM users")


def test_the_command_names_the_variable_that_it_can_not_read() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "include.gong.warehouse", "migrate"],
        cwd=PROJECT,
        env={
            "PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}",
            "AIRFLOW_CONN_GONG_POSTGRES": '{"conn_type": "postgres", "password": "s3cret"}',
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert {"AIRFLOW_CONN_GONG_POSTGRES", "GONG_WAREHOUSE_URL"} <= set(re.findall(r"\w+", done.stderr))
    assert "s3cret" not in done.stderr


def test_the_command_migrates_the_schema_of_the_address_and_reports_it_in_one_line(
    database_url: str,
) -> None:
    place = make_url(database_url).set(drivername="postgres").update_query_dict({"gong_schema": "acme"})
    url = place.render_as_string(hide_password=False)

    def run() -> str:
        return subprocess.run(
            [sys.executable, "-m", "include.gong.warehouse", "migrate"],
            cwd=PROJECT,
            env={"PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}", "GONG_WAREHOUSE_URL": url},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    where = f"acme in {place.host}:{place.port}/{place.database}"
    first = run()
    assert where in first
    assert first.count("\n") == 1
    assert "already" in run()
    assert not migrate(engine_for(url))
    assert value(engine_for(url), "SELECT to_regnamespace('gong')") is None
