"""Which connections `make up` may refresh: those that it made itself, and nobody edited since."""

from __future__ import annotations

from typing import Any

import pytest

from include.gong.local.connections import WAREHOUSE, keep, postgres_connection


class MetadataOfAirflow:
    """The connections part of Airflow's REST API, in memory: an edit leaves what it does not name."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get(self, path: str) -> dict[str, Any]:
        return self.kept

    def post(self, path: str, body: dict[str, Any]) -> None:
        self.kept = dict(body)

    def patch(self, path: str, body: dict[str, Any]) -> None:
        self.kept |= body


def embedded(port: int) -> dict[str, Any]:
    return postgres_connection(f"postgresql+psycopg2://postgres:x@127.0.0.1:{port}/gong_sandbox")


@pytest.mark.parametrize(
    "edit",
    [{"port": 5432}, {"host": "localhost"}, {"login": "me"}, {"description": "mine"}],
    ids=lambda edit: next(iter(edit)),
)
def test_a_postgres_on_this_machine_that_a_user_named_stays_theirs(edit: dict[str, Any]) -> None:
    airflow: Any = MetadataOfAirflow()
    assert keep(airflow, WAREHOUSE, embedded(40001))
    assert keep(airflow, WAREHOUSE, embedded(40002)), "its port is another at each start"
    assert airflow.kept["port"] == 40002
    airflow.patch("", {"password": "theirs", "schema": "analytics"} | edit)
    before = dict(airflow.kept)
    assert not keep(airflow, WAREHOUSE, embedded(40003))
    assert airflow.kept == before
