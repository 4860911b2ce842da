"""`airflow gong` as a program, with connections made in Airflow's UI: they are in its metadata database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dags.conftest import airflow_environment
from tests.support.gong_service import GongService

Airflow = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def airflow(airflow_database: str, tmp_path: Path) -> Airflow:
    """Runs a command of Airflow without connections in its environment."""
    environment = airflow_environment(tmp_path, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=airflow_database)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "airflow", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


def test_connections_made_in_the_ui_are_found(airflow: Airflow, database_url: str) -> None:
    with GongService([{"id": "7"}]) as service:
        gong = {
            "conn_type": "gong", "host": service.base_url, "login": service.key, "password": service.secret,
            "extra": {"coordination_conn_id": "made_in_ui"},
        }  # fmt: skip
        postgres = database_url.replace("postgresql+psycopg2", "postgres")
        for name, made in (("gong_of_ui", json.dumps(gong)), ("made_in_ui", postgres)):
            kind = "--conn-json" if made.startswith("{") else "--conn-uri"
            assert airflow("connections", "add", name, kind, made).returncode == 0
        done = airflow("gong", "doctor", "--conn-id", "gong_of_ui", "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)  # and nothing else is printed
        assert report["calls"] == len(service.calls)
        quota = json.loads(airflow("gong", "quota", "--conn-id", "gong_of_ui", "--json").stdout)
        assert quota["used"] == len(service.calls)


def test_without_a_connection_it_asks_for_one(airflow: Airflow) -> None:
    done = airflow("gong", "doctor")
    assert (done.returncode, done.stdout) == (1, "")
    assert "gong_default" in done.stderr.splitlines()[-1]
    assert os.environ.get("AIRFLOW_CONN_GONG_DEFAULT") is None
