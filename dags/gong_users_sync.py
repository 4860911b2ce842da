"""Loads every Gong user and every change of their settings into Postgres: daily, by hand or as a backfill."""

from __future__ import annotations

from datetime import UTC, datetime
from types import ModuleType
from typing import Any

from airflow.sdk import DAG, CronPartitionTimetable, Param, TriggerRule, task

from gong_provider.operators.gong import GongListUsersByFilterOperator, GongListUsersOperator
from gong_provider.operators.user_ids import NO_FILTER
from include.gong.page.links import link_to_page, owner_links
from include.gong.sync.alerts import alerts_of
from include.gong.sync.dag_parts import DEFAULT_ARGS, USER_ID, WHERE_IDS_ARE, load_histories
from include.gong.sync.task_docs import task_docs

DOC = """
### What it does
Lists all Gong users, then fetches each user's settings history, and stores both in Postgres (schema `gong`).
Every page and every group of histories is one transaction: loaded data stays, and nothing is loaded twice.

### When
Daily at 00:30 UTC, for the UTC day that ended half an hour before: the run has that day as partition key.
A manual run without a partition key is for now. A backfill calls Gong only for data that is not complete
through its day yet.

### What it costs
One call per 100 users and one per pending history, out of one quota that all tasks share (table
`gong.api_quota`). When a day's calls are too few for everyone, the run succeeds and logs how many histories
remain and by when they will be fetched; the next run goes on from there.

### Deleted users
Users missing from a listing are requested again, one call per 100, before they are marked as deleted. When
Gong no longer knows more than a fifth of all users, none is marked until a run with `accept_deletions`.

### When it fails
The last line of the failed task's log says what to do. Clear the task, or run again: histories fetched that
day are not fetched again.
"""

INSTANT = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}"
"""Airflow does not check formats; open_run rejects what else is no instant."""

PARAMS = {
    "history": Param(
        "auto",
        type="string",
        enum=["auto", "all", "changed", "none"],
        values_display={
            "auto": "auto: up to now or to the end of the run's day, within the day's calls",
            "all": "all: the same, until the day's calls are used up",
            "changed": "changed: only of new users and of users whose settings changed",
            "none": "none: users only",
        },
        title="Settings histories",
        description="Which settings histories to fetch. One call per user.",
    ),
    "include_avatars": Param(
        False,
        type="boolean",
        title="Include avatars",
        description="Request avatar images; Gong's live service then also lists synthetic users.",
    ),
    "accept_deletions": Param(
        False,
        type="boolean",
        title="Accept deletions",
        description="Mark users that Gong no longer knows as deleted even when they are more than a fifth "
        "of all. Without it such a run marks none and warns.",
        section="Deleted users",
    ),
    "user_ids": Param(
        None,
        type=["null", "array"],
        items=USER_ID,
        maxItems=100,
        title="Only these users",
        description=f"Up to 100 Gong user ids, one a line. Empty: everyone. {WHERE_IDS_ARE}",
        section="Only some users",
    ),
    "created_from": Param(
        None,
        type=["null", "string"],
        format="date-time",
        pattern=INSTANT,
        title="Created at or after",
        description="A date and time. Not together with user ids: such a run is refused at once.",
        section="Only some users",
    ),
    "created_to": Param(
        None,
        type=["null", "string"],
        format="date-time",
        pattern=INSTANT,
        title="Created before",
        description="A date and time, itself not included. Later than the one above.",
        section="Only some users",
    ),
}


def _tasks() -> ModuleType:
    # Imported when a task runs: parsing this file loads neither HTTP nor database clients.
    from include.gong.sync import tasks

    return tasks


with DAG(
    dag_id="gong_users_sync",
    description="Gong users and their settings histories to Postgres",
    doc_md=DOC,
    schedule=CronPartitionTimetable("30 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    owner_links=owner_links(),
    params=PARAMS,
    render_template_as_native_obj=True,
    user_defined_macros={"NO_FILTER": NO_FILTER},
    tags=["gong", "users"],
    **alerts_of("gong_users_sync"),
) as dag:

    @task.branch(**task_docs("open_run"))
    def open_run() -> str:
        return str(_tasks().open_run())

    list_users = GongListUsersOperator(
        task_id="list_users",
        include_avatars="{{ params.include_avatars }}",
        handler=lambda page: _tasks().load_users_page(page),
        load_checkpoint=lambda: _tasks().load_listing_checkpoint(),
        **task_docs("list_users"),
    )

    verify_deletions = GongListUsersByFilterOperator(
        task_id="verify_deletions",
        user_ids_callable=lambda: _tasks().deletion_candidates(),
        # Without avatars, Gong leaves out synthetic users even when they exist.
        include_avatars=True,
        handler=lambda page: _tasks().load_present_users(page),
        on_chunk_done=lambda ids, listing: _tasks().verify_deletions(ids, listing),
        post_execute=lambda *_: _tasks().apply_deletions(),
        **task_docs("verify_deletions"),
    )

    filter_users = GongListUsersByFilterOperator(
        task_id="filter_users",
        # An empty param is no filter.
        user_ids="{{ params.user_ids or NO_FILTER }}",
        created_from="{{ params.created_from or NO_FILTER }}",
        created_to="{{ params.created_to or NO_FILTER }}",
        include_avatars="{{ params.include_avatars }}",
        handler=lambda page: _tasks().load_users_page(page),
        **task_docs("filter_users"),
    )

    @task(trigger_rule=TriggerRule.NONE_FAILED, **task_docs("plan_histories"))
    def plan_histories() -> list[Any]:
        return list(_tasks().plan_histories())

    batches = plan_histories()

    open_run() >> [list_users, filter_users, batches]
    list_users >> verify_deletions
    [verify_deletions, filter_users] >> batches
    load_histories(batches)

link_to_page(dag)
