"""DAGs of one task that show what a mapped operator makes of what it is given, or is not."""

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
AIRFLOWS_OWN = timedelta(minutes=5)  # the same as where nothing is given, but given


def may_pass(_: object) -> list[str]:
    raise RuntimeError("It may pass")


def hopeless(_: object) -> list[str]:
    raise GongNotFoundError("is gone")


def pause(_: object) -> list[str]:
    raise GongRateLimitError("pauses", retry_after_s=7200)


def fails(
    dag_id: str, why: Callable[[Any], list[str]], default_args: dict[str, Any] | None = None, **options: Any
) -> None:
    """A mapped operator that fails for this reason, and the same one as it is."""
    shared: Any = {"task_id": "t", "retries": 3, "batch_to_ids": why, **options}
    with DAG(dag_id=f"{dag_id}.mapped", schedule=None, default_args=default_args or {}):
        GongGetUserSettingsHistoryOperator.partial(**shared).expand(batch=[1])
    with DAG(dag_id=f"{dag_id}.plain", schedule=None, default_args=default_args or {}):
        GongGetUserSettingsHistoryOperator(batch=1, **shared)


fails("hopeless", hopeless)
fails("usual", may_pass)
fails("pause", pause)
fails("policy", may_pass, retry_policy=SEVEN_S)
fails("default_policy", may_pass, {"retry_policy": SEVEN_S})
fails(
    "policy_and_delay",
    may_pass,
    {"retry_policy": GONG_RETRY_POLICY, "retry_delay": timedelta(seconds=99)},
)
fails("delay", may_pass, retry_delay=AIRFLOWS_OWN)
fails("default_delay", may_pass, {"retry_delay": AIRFLOWS_OWN})
fails("backoff", may_pass, retry_exponential_backoff=2)
fails("default_backoff", may_pass, {"retry_exponential_backoff": 2})
fails("longest", may_pass, max_retry_delay=timedelta(seconds=4))
fails("hopeless_with_delay", hopeless, retry_delay=AIRFLOWS_OWN)

with DAG(dag_id="pause_of_a_hook", schedule=None):

    @task(task_id="t", retries=3, retry_policy=GONG_RETRY_POLICY)
    def uses_the_hook() -> None:
        pause(None)

    uses_the_hook()

BOUNDS = ["2026-01-01T00:00:00Z"]


def filters(dag_id: str, user_ids: str | None, *, native: bool = False) -> None:
    """Mapped over a bound; None: without user_ids."""
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
    GongGetUserOperator.partial(task_id="t", retries=3, handler=lambda answer: [answer.user.user_id]).expand(
        user_id=[2]
    )
