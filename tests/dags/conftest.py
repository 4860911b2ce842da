"""A real Airflow home on the test session's Postgres, for tests that need metadata but no scheduler."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

from include.gong.local.postgres import Cluster
from tests.dags.dag_runner import DagRunner, Done
from tests.support.gong_service import GongService
from tests.support.metadata import DATABASE, copy_migrated

ROOT = Path(__file__).resolve().parents[2]
RunDag = Callable[..., Done]


def airflow_environment(home: Path, **settings: str) -> dict[str, str]:
    """Return an environment in which Airflow has this checkout's DAGs and provider."""
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
    """Our DAGs, as Airflow parses them."""
    bag = DagBag(ROOT / "dags")
    assert bag.import_errors == {}
    return dict(bag.dags)


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """The server of all tests, with Airflow's metadata in it."""
    directory = Path(tempfile.mkdtemp(prefix="gong-dags-"))
    cluster = Cluster(directory / "postgres", durable=False)
    try:
        copy_migrated(pytestconfig, directory / "postgres")
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_database(postgres_server: Cluster) -> str:
    """The URL of a migrated metadata database."""
    return postgres_server.url(DATABASE)


@pytest.fixture(scope="session")
def dag_runner(airflow_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagRunner]:
    """The process in which our DAGs run."""
    home = tmp_path_factory.mktemp("airflow")
    running = DagRunner(home, airflow_environment(home, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=airflow_database))
    yield running
    running.stop()


@pytest.fixture
def run_dag(dag_runner: DagRunner, database_url: str) -> RunDag:
    """Return a function that runs a DAG against a service, with an empty database as the warehouse."""

    def run(
        dag_id: str,
        service: GongService,
        conf: dict[str, Any] | None = None,
        *,
        extra: dict[str, Any] | None = None,
        **variables: str,
    ) -> Done:
        gong = {
            "conn_type": "gong", "host": service.base_url, "login": service.key, "password": service.secret,
            "extra": {"calls_per_second": 0, "calls_per_day": 0, "timeout_s": 5} | (extra or {}),
        }  # fmt: skip
        connections = {
            "AIRFLOW_CONN_GONG_DEFAULT": json.dumps(gong),
            "AIRFLOW_CONN_GONG_POSTGRES": database_url.replace("postgresql+psycopg2", "postgres"),
        }
        return dag_runner.run(dag_id, conf or {}, connections | variables)

    return run
