"""A real Airflow home on the test session's Postgres, for what needs metadata but no scheduler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

from include.local.postgres import Cluster
from tests.support.gong_service import GongService

ROOT = Path(__file__).resolve().parents[2]
Airflow = Callable[..., subprocess.CompletedProcess[str]]


def airflow_environment(home: Path, **settings: str) -> dict[str, str]:
    """An environment in which this checkout's DAGs and provider are Airflow's."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return clean | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "plugins"))),
        **settings,
    }


@pytest.fixture(scope="session")
def dags() -> dict[str, DAG]:
    """Ours, as Airflow reads them."""
    bag = DagBag(ROOT / "dags")
    assert bag.import_errors == {}
    return dict(bag.dags)


@pytest.fixture(scope="session")
def airflow_database(postgres_server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a migrated metadata database."""
    name = "airflow_metadata"
    postgres_server.ensure_database(name)
    url = postgres_server.url(name)
    home = tmp_path_factory.mktemp("airflow")
    environment = airflow_environment(home, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=url)
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True
    )
    return url


@pytest.fixture
def airflow(airflow_database: str, database_url: str, tmp_path: Path) -> Airflow:
    """Runs an airflow command against a service, with a fresh database as the warehouse."""

    def run(
        *arguments: str, service: GongService, calls_per_day: int = 0, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        gong = {
            "conn_type": "gong", "host": service.base_url, "login": service.key, "password": service.secret,
            "extra": {"calls_per_second": 0, "calls_per_day": calls_per_day},
        }  # fmt: skip
        usual = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow_database,
            "AIRFLOW_CONN_GONG_DEFAULT": json.dumps(gong),
            "AIRFLOW_CONN_GONG_POSTGRES": database_url.replace("postgresql+psycopg2", "postgres"),
        }
        environment = airflow_environment(tmp_path, **usual | settings)
        command = [sys.executable, "-m", "airflow", *arguments]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    return run
