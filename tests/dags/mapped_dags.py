"""DAGs of one task with mapped operators that get arguments or use defaults."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction, RetryRule, task

from gong_provider.client.errors import GongNotFoundError, GongRateLimitError
from gong_provider.operators.gong import (
    GongGetUserOperator,
    GongGetUserSettingsHistoryOperator,
    GongListUsersByFilterOperator,
)
from gong_provider.operators.user_ids import NO_FILTER
from gong_provider.retry import GONG_RETRY_POLICY

SEVEN_S: Any = ExceptionRetryPolicy(
    [RetryRule(exception=RuntimeError, action=RetryAction.RETRY, retry_delay=timedelta(seconds=7))]
)
AIRFLOWS_DEFAULT = timedelta(minutes=5)  # Airflow's default, but set explicitly


def transient(_: object) -> list[str]:
    raise RuntimeError("It is transient")


def permanent(_: object) -> list[str]:
    raise GongNotFoundError("is gone")


def pause(_: object) -> list[str]:
    raise GongRateLimitError("pauses", retry_after_s=7200)


def fails(
    dag_id: str, why: Callable[[Any], list[str]], default_args: dict[str, Any] | None = None, **options: Any
) -> None:
    """Define a mapped operator that fails for this reason, and the same one unmapped."""
    shared: Any = {"task_id": "t", "retries": 3, "batch_to_ids": why, **options}
    with DAG(dag_id=f"{dag_id}.mapped", schedule=None, default_args=default_args or {}):
        GongGetUserSettingsHistoryOperator.partial(**shared).expand(batch=[1])
    with DAG(dag_id=f"{dag_id}.plain", schedule=None, default_args=default_args or {}):
        GongGetUserSettingsHistoryOperator(batch=1, **shared)


fails("permanent", permanent)
fails("usual", transient)
fails("pause", pause)
fails("policy", transient, retry_policy=SEVEN_S)
fails("default_policy", transient, {"retry_policy": SEVEN_S})
fails(
    "policy_and_delay",
    transient,
    {"retry_policy": GONG_RETRY_POLICY, "retry_delay": timedelta(seconds=99)},
)
fails("delay", transient, retry_delay=AIRFLOWS_DEFAULT)
fails("default_delay", transient, {"retry_delay": AIRFLOWS_DEFAULT})
fails("backoff", transient, retry_exponential_backoff=2)
fails("default_backoff", transient, {"retry_exponential_backoff": 2})
fails("longest", transient, max_retry_delay=timedelta(seconds=4))
fails("permanent_with_delay", permanent, retry_delay=AIRFLOWS_DEFAULT)

with DAG(dag_id="pause_of_a_hook", schedule=None):

    @task(task_id="t", retries=3, retry_policy=GONG_RETRY_POLICY)
    def uses_the_hook() -> None:
        pause(None)

    uses_the_hook()

BOUNDS = ["2026-01-01T00:00:00Z"]


def filters(dag_id: str, user_ids: str | None, *, native: bool = False) -> None:
    """Define a filter mapped over a bound; None: without user_ids."""
    given = {} if user_ids is None else {"user_ids": user_ids}
    with DAG(
        dag_id=dag_id,
        schedule=None,
        params={"none": None, "ids": [2, "3"], "empty": []},
        render_template_as_native_obj=native,
        user_defined_macros={"NO_FILTER": NO_FILTER},
    ):
        GongListUsersByFilterOperator.partial(
            task_id="t", retries=3, handler=lambda page: [user.user_id for user in page.users], **given
        ).expand(created_from=BOUNDS)


filters("everyone", None)
filters("everyone_by_template", "{{ params.none or NO_FILTER }}", native=True)
filters("none", "{{ params.none }}", native=True)
filters("none_as_text", "{{ ti.xcom_pull(task_ids='t') }}")
filters("ids", "{{ params.ids }}", native=True)
filters("ids_as_text", "{{ params.ids }}")
filters("nobody", "{{ params.empty }}", native=True)
filters("nobody_as_text", "{{ params.empty }}")

with DAG(dag_id="one", schedule=None):
    GongGetUserOperator.partial(
        task_id="t", retries=3, handler=lambda response: [response.user.user_id]
    ).expand(user_id=[2])
