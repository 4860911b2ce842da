"""DAGs of one task whose tries are counted; copied into a DAGs folder."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, get_current_context

from gong_provider.client.models import ClaimResult
from gong_provider.operators.gong import GongGetUserSettingsHistoryOperator, GongListUsersByFilterOperator


def ids(first: int, number: int) -> list[str]:
    return [str(each) for each in range(first, first + number)]


def store(outcomes: Sequence[Any]) -> int:
    """A handler that commits each user to a file."""
    dag_id = get_current_context()["ti"].dag_id
    with Path(os.environ["TAKEN"]).open("a") as file:
        file.writelines(f"{dag_id} {outcome.user_id}\n" for outcome in outcomes)
    return len(outcomes)


def failing(at: str, fail: Callable[[list[Any]], Any]) -> Callable[[list[Any]], int]:
    """A handler that fails in the first try, at the group with this user."""

    def handler(group: list[Any]) -> int:
        is_first_try = get_current_context()["ti"].try_number == 1
        if is_first_try and at in [outcome.user_id for outcome in group]:
            fail(group)
        return store(group)

    return handler


def refuse(group: list[Any]) -> None:
    raise RuntimeError("This group can't be stored")


def die_after_storing(group: list[Any]) -> None:
    store(group)
    os.kill(os.getpid(), signal.SIGKILL)


def histories(dag_id: str, user_ids: list[str] | None, *, conn: str = "gong", **options: Any) -> None:
    with DAG(dag_id=dag_id, schedule=None):
        GongGetUserSettingsHistoryOperator(
            task_id="t", gong_conn_id=conn, user_ids=user_ids, group_seconds=60, retries=3, **options
        )


histories("days", ids(100, 25), conn="gong_days", handler=store, group_size=4)
histories(
    "days_of_a_batch",
    None,
    conn="gong_batch",
    batch=200,
    batch_to_ids=lambda first: ids(first, 12),
    handler=store,
)
histories("no_handler", ids(300, 25), conn="gong_no_handler")
histories("cleared", ids(400, 5), handler=store)
histories("refused", ids(500, 10), handler=failing("509", refuse), group_size=5)
histories("killed", ids(600, 10), handler=failing("609", die_after_storing), group_size=5)
histories("store_fails", ids(700, 10), handler=store, group_size=5)
histories("claimed", ids(800, 5), handler=store, claim=lambda ids, _: ClaimResult(ids))
histories("unknown", ids(900, 5))
histories("fail_on_unknown", ids(910, 5), fail_on_unknown=True)
histories("many", ids(2000, 1100), handler=store)

with DAG(dag_id="filter", schedule=None):
    GongListUsersByFilterOperator(
        task_id="t", gong_conn_id="gong_filter", user_ids=ids(1, 250), handler=lambda page: store(page.users)
    )
