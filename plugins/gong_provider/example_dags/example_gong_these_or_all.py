"""The users whose ids are given, or else everyone."""

from airflow.sdk import DAG, Param

from gong_provider.operators.gong import GongListUsersByFilterOperator
from gong_provider.operators.user_ids import NO_FILTER

with DAG(
    dag_id="gong_these_or_all",
    schedule=None,
    params={"user_ids": Param(None, type=["null", "array"], items={"type": "string"})},
    render_template_as_native_obj=True,
    user_defined_macros={"NO_FILTER": NO_FILTER},
    tags=["example", "gong"],
):
    GongListUsersByFilterOperator(task_id="these_or_all", user_ids="{{ params.user_ids or NO_FILTER }}")
