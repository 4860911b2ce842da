"""One user; the task's result when Gong has no such user."""

from airflow.sdk import DAG, Param

from gong_provider.operators.gong import GongGetUserOperator

with DAG(
    dag_id="gong_one_user",
    schedule=None,
    params={"user_id": Param("7012345678901234567", type="string", pattern="^[0-9]+$")},
    tags=["example", "gong"],
):
    GongGetUserOperator(
        task_id="get_user",
        user_id="{{ params.user_id }}",
        handler=lambda response: {"active": response.user.active},
        on_not_found=lambda error: {"unknown": True, "calls": error.calls},
    )
