"""A DAG that uses each operator once, for a real account or a service of the tests; it makes few calls.

GONG_SYSTEM_TEST='{"conn_type": "gong", …}' make test ARGS=tests/dags/test_system_dag.py
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task

from gong_provider.operators.gong import (
    GongGetUserOperator,
    GongGetUserSettingsHistoryOperator,
    GongListUsersByFilterOperator,
    GongListUsersOperator,
)

with DAG(
    dag_id="gong_system_test",
    schedule=None,
    render_template_as_native_obj=True,
    params={"users": Param(3, type="integer", minimum=1)},
):

    @task
    def some(users: Any, params: Any = None) -> list[str]:
        ids: list[str] = users["user_ids"][: params["users"]]
        assert ids, "the account has no users"
        return ids

    @task
    def compare(ids: Any, filtered: Any, one: Any, histories: Any) -> dict[str, int]:
        assert sorted(filtered["user_ids"]) == sorted(ids)
        assert one["user_ids"] == ids[:1]
        assert sorted([*histories["changes"], *histories["unknown_ids"]]) == sorted(ids)
        return {"users": len(ids), "changes": sum(histories["changes"].values())}

    listed = GongListUsersOperator(task_id="list_users")
    ids = some(listed.output)
    filtered = GongListUsersByFilterOperator(task_id="filter_users", user_ids=ids)
    one = GongGetUserOperator(task_id="get_user", user_id="{{ ti.xcom_pull(task_ids='some')[0] }}")
    histories = GongGetUserSettingsHistoryOperator(task_id="get_histories", user_ids=ids)
    ids >> one
    compare(ids, filtered.output, one.output, histories.output)
