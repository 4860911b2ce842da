"""The Gong and the warehouse that the commands use."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from include.gong.local.connections import (
    DATABASES,
    WAREHOUSE,
    Sources,
    postgres_connection,
    upsert_connection,
    warehouse_url,
)
from include.gong.local.settings import LocalError
from include.gong.warehouse.connect import transaction


def test_account_and_either_sandbox_never_share_the_embedded_database() -> None:
    each = [Sources(None, None), Sources(None, None, "live"), Sources("{}", None)]
    assert [source.database for source in each] == list(DATABASES)


def test_the_contracts_variant_is_the_default_and_yet_a_choice() -> None:
    contract, nothing, live = (Sources(None, None, variant) for variant in ("contract", "", "live"))
    assert contract.fingerprint == nothing.fingerprint == ""
    assert (contract.is_chosen, nothing.is_chosen) == (True, False)
    assert live.fingerprint


def test_only_the_sandbox_has_a_variant_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GONG_DEFAULT", "{}")
    with pytest.raises(LocalError, match="AIRFLOW_CONN_GONG_DEFAULT"):
        Sources.from_environment("live")


def test_sandbox_data_is_refused_in_a_warehouse_of_an_unnamed_account(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        connection.exec_driver_sql(
            "UPDATE account SET base_url = 'https://gong.example', key_hash = 'h', settled_at = now()"
        )
    given = Sources(None, warehouse.url.render_as_string(hide_password=False))
    with pytest.raises(LocalError, match="stores a Gong account"):
        given.check_warehouse()


def test_an_empty_variable_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GONG_DEFAULT", "")
    monkeypatch.delenv("AIRFLOW_CONN_GONG_POSTGRES", raising=False)
    assert Sources.from_environment() == Sources(None, None)


def test_a_fingerprint_tells_connections_apart_and_shows_none() -> None:
    fingerprints = {
        Sources("a", None).fingerprint,
        Sources(None, "a").fingerprint,
        Sources("secret", None).fingerprint,
        Sources(None, None, "live").fingerprint,
    }
    assert len(fingerprints) == 4
    assert not any("secret" in each for each in fingerprints)
    assert Sources(None, None).fingerprint == ""


@pytest.mark.parametrize(
    "given",
    [
        "postgres://me:p%40ss@db.example:5433/house?sslmode=require",
        "postgresql://me:p%40ss@db.example:5433/house?sslmode=require&__extra__=%7B%7D",
        json.dumps(
            {
                "conn_type": "postgres",
                "login": "me",
                "password": "p@ss",
                "host": "db.example",
                "port": "5433",
                "schema": "house",
                "extra": {"sslmode": "require"},
            }
        ),
    ],
)
def test_a_warehouse_is_read_from_either_form(given: str) -> None:
    url = warehouse_url(given)
    assert (url.username, url.password, url.host, url.port) == ("me", "p@ss", "db.example", 5433)
    assert (url.database, dict(url.query)) == ("house", {"sslmode": "require"})
    assert url.drivername == "postgresql+psycopg2"


@pytest.mark.parametrize("given", ["{nope", "no url with s3cret", '{"port": "x"}', '{"extra": 5}'])
def test_an_unreadable_warehouse_is_refused_without_being_shown(given: str) -> None:
    with pytest.raises(LocalError) as caught:
        warehouse_url(given)
    assert given not in str(caught.value)


def embedded(port: int) -> dict[str, Any]:
    return postgres_connection(f"postgresql+psycopg2://postgres:x@127.0.0.1:{port}/gong_sandbox")


@pytest.mark.parametrize(
    "edit",
    [{"port": 5432}, {"host": "localhost"}, {"login": "me"}, {"description": "mine"}],
    ids=lambda edit: next(iter(edit)),
)
def test_an_edited_connection_to_a_local_postgres_stays_unchanged(edit: dict[str, Any]) -> None:
    airflow: Any = MetadataOfAirflow()
    assert upsert_connection(airflow, WAREHOUSE, embedded(40001))
    assert upsert_connection(airflow, WAREHOUSE, embedded(40002)), "its port is another at each start"
    assert airflow.stored["port"] == 40002
    airflow.patch("", {"password": "theirs", "schema": "analytics"} | edit)
    before = dict(airflow.stored)
    assert not upsert_connection(airflow, WAREHOUSE, embedded(40003))
    assert airflow.stored == before


def test_the_embedded_warehouse_reads_back_as_its_url() -> None:
    url = "postgresql+psycopg2://postgres:x@127.0.0.1:5/gong"
    connection = json.dumps(postgres_connection(url))
    assert warehouse_url(connection).render_as_string(hide_password=False) == url


class MetadataOfAirflow:
    """The connections part of Airflow's REST API, in memory: an edit keeps fields that it does not name."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] = {}

    def get(self, path: str) -> dict[str, Any]:
        return self.stored

    def post(self, path: str, body: dict[str, Any]) -> None:
        self.stored = dict(body)

    def patch(self, path: str, body: dict[str, Any]) -> None:
        self.stored |= body
