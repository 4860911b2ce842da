"""`make up` updates only connections that it made itself and that are unchanged."""

from __future__ import annotations

from typing import Any

import pytest

from include.gong.local.connections import WAREHOUSE, postgres_connection, upsert_connection


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
