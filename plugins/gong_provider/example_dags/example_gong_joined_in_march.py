"""How many joined in March."""

from typing import Any

from airflow.sdk import DAG, task

from gong_provider.operators.gong import GongListUsersByFilterOperator

with DAG(dag_id="gong_joined_in_march", schedule=None, tags=["example", "gong"]):
    _joined = GongListUsersByFilterOperator(
        task_id="joined",
        created_from="2026-03-01T00:00:00Z",
        created_to="2026-04-01T00:00:00Z",
    )

    @task
    def describe(result: Any) -> str:
        return f"{result['users']} joined in March"

    describe(_joined.output)
