"""Fetches chosen Gong users and their settings histories now: from the UI or through REST."""

from __future__ import annotations

from datetime import UTC, datetime
from types import ModuleType
from typing import Any

from airflow.sdk import DAG, Param, TriggerRule, task

from gong_provider.operators.gong import GongGetUserOperator, GongListUsersByFilterOperator
from include.gong.page.links import link_to_page, owner_links
from include.gong.sync.alerts import alerts_of
from include.gong.sync.dag_parts import DEFAULT_ARGS, USER_ID, WHERE_IDS_ARE, load_histories
from include.gong.sync.task_docs import task_docs

DOC = """
### What it does
Fetches the users you name and their settings histories, and loads both as `gong_users_sync` does: into the
same tables, by the same rules, with a row in `gong.sync_runs`. It fetches a history again even if it was
fetched today.

### When
Whenever you start it: it has no schedule. Several runs may go on at once, also beside a sync.

### What it costs
One call for one user, or one per 100 users; and one per history, out of the quota that all tasks share. An id
that Gong does not know costs nothing more: the run warns and goes on.

### When it fails
The last line of the failed task's log says what to do. Clear the task, or run again.
"""

PARAMS = {
    "user_ids": Param(
        type="array",
        items=USER_ID,
        minItems=1,
        maxItems=500,
        title="Users",
        description=f"1 to 500 Gong user ids, one a line. {WHERE_IDS_ARE}",
    ),
    "history": Param(
        True,
        type="boolean",
        title="Settings histories",
        description="Fetch their settings histories too: one call per user.",
    ),
}


def _refresh() -> ModuleType:
    # Imported when a task runs: parsing this file loads neither HTTP nor database clients.
    from include.gong.sync import refresh

    return refresh


with DAG(
    dag_id="gong_user_refresh",
    description="Chosen Gong users and their settings histories, now",
    doc_md=DOC,
    schedule=None,
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    # It has no schedule: someone who triggers it wants it to start at once.
    is_paused_upon_creation=False,
    max_active_runs=4,
    default_args=DEFAULT_ARGS,
    owner_links=owner_links(),
    params=PARAMS,
    tags=["gong", "users"],
    **alerts_of("gong_user_refresh"),
) as dag:

    @task.branch(**task_docs("open_run"))
    def open_run() -> str:
        return str(_refresh().open_run())

    get_user = GongGetUserOperator(
        task_id="get_user",
        user_id="{{ params.user_ids[0] }}",
        handler=lambda response: _refresh().load_user(response),
        on_not_found=lambda error: _refresh().load_unknown_user(error),
        **task_docs("get_user"),
    )

    filter_users = GongListUsersByFilterOperator(
        task_id="filter_users",
        user_ids_callable=lambda: _refresh().ids_to_refresh(),
        handler=lambda page: _refresh().load_users_page(page),
        **task_docs("filter_users"),
    )

    @task(trigger_rule=TriggerRule.NONE_FAILED, **task_docs("plan_histories"))
    def plan_histories() -> list[Any]:
        return list(_refresh().plan_histories())

    batches = plan_histories()

    open_run() >> [get_user, filter_users, batches]
    [get_user, filter_users] >> batches
    load_histories(batches)

link_to_page(dag)
