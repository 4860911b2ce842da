"""The system test's DAG, against a service, or against the account in GONG_SYSTEM_TEST."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.dags.conftest import ROOT, airflow_environment
from tests.dags.dag_runner import DagRunner
from tests.support.hooks import world


def test_each_operator_works(airflow_database: str, tmp_path: Path) -> None:
    environment = airflow_environment(
        tmp_path,
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=airflow_database,
        AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "tests" / "system"),
    )
    with world(130, "live") as service:
        own = {
            "conn_type": "gong", "host": service.base_url, "login": service.key, "password": service.secret,
            "extra": {"calls_per_second": 0, "coordination_conn_id": "none"},
        }  # fmt: skip
        given = os.environ.get("GONG_SYSTEM_TEST") or json.dumps(own)
        dag_runner = DagRunner(tmp_path, environment | {"AIRFLOW_CONN_GONG_DEFAULT": given})
        try:
            done = dag_runner.run("gong_system_test", {}, {})
        finally:
            dag_runner.stop()
    assert done.succeeded, done.log
    assert done.values["compare"]["users"] == 3
