"""The Gong and the warehouse that the commands use."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from include.gong.local.connections import (
    GONG,
    Sources,
    postgres_connection,
    upsert_connection,
    warehouse_url,
)
from include.gong.local.settings import LocalError
from include.gong.warehouse.connect import transaction


def test_sandbox_and_account_never_share_the_embedded_database() -> None:
    assert Sources(None, None).database != Sources("{}", None).database


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
    }
    assert len(fingerprints) == 3
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


def test_a_connection_edited_by_its_user_is_not_updated() -> None:
    airflow = _Airflow()
    desired = {"host": "http://127.0.0.1:1", "login": "key"}
    assert upsert_connection(airflow, GONG, desired)  # type: ignore[arg-type]
    assert airflow.stored["host"] == "http://127.0.0.1:1"
    assert upsert_connection(airflow, GONG, desired | {"host": "http://127.0.0.1:2"})  # type: ignore[arg-type]
    assert airflow.stored["host"] == "http://127.0.0.1:2"
    airflow.stored["host"] = "https://us-1.api.gong.io"
    assert not upsert_connection(airflow, GONG, desired)  # type: ignore[arg-type]
    assert airflow.stored["host"] == "https://us-1.api.gong.io"


def test_the_embedded_warehouse_reads_back_as_its_url() -> None:
    url = "postgresql+psycopg2://postgres:x@127.0.0.1:5/gong"
    connection = json.dumps(postgres_connection(url))
    assert warehouse_url(connection).render_as_string(hide_password=False) == url


class _Airflow:
    """The connections part of Airflow's REST API, in memory."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] = {}

    def get(self, path: str) -> dict[str, Any]:
        return self.stored

    def post(self, path: str, body: dict[str, Any]) -> None:
        self.stored = dict(body)

    def patch(self, path: str, body: dict[str, Any]) -> None:
        self.stored.update(body)
