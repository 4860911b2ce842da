"""Every Gong user and every change of their settings, into Postgres: daily, by hand, backfilled."""

from __future__ import annotations

from datetime import UTC, datetime
from types import ModuleType
from typing import Any

from airflow.sdk import DAG, CronPartitionTimetable, Param, TriggerRule, task

from gong_provider.operators.gong import GongListUsersByFilterOperator, GongListUsersOperator
from gong_provider.operators.user_ids import NO_FILTER
from include.gong.page.links import link_to_page, owner_links
from include.gong.sync.alerts import alerts_of
from include.gong.sync.dag_parts import DEFAULT_ARGS, USER_ID, load_histories
from include.gong.sync.task_docs import told

DOC = """
### What it does
Lists all Gong users, then asks for each user's settings history, and keeps both in Postgres
(schema `gong`). Every page and every group of histories is one transaction: what is loaded stays
loaded, and nothing is loaded twice.

### When
Daily at 00:30 UTC, about the UTC day that ended half an hour before: its run carries that day as
partition key. A run by hand without a partition key is about now. A backfill calls Gong only for
what is not covered yet.

### What it costs
One call a hundred users, one call a user whose history is owed, out of one budget that all tasks
share (table `gong.api_quota`). When the day's calls do not suffice for everyone, the run succeeds, says
what it left and by when that will be covered; the next one goes on from there.

### Who left
Users whom a listing lacks are asked for, one call a hundred, before they are marked as deleted. When
more than a fifth of all users are gone, nobody is, until a run with `accept_deletions` says that it is true.

### When it fails
The last line of the failed task's log says what to do. Clear the task, or run again: what was
fetched that day is not asked again.
"""

INSTANT = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}"
"""Airflow does not check formats; what else is no instant, open_run says."""

PARAMS = {
    "history": Param(
        "auto",
        type="string",
        enum=["auto", "all", "changed", "none"],
        values_display={
            "auto": "auto: up to now, or what the run's day still lacks, within the day's calls",
            "all": "all: the same, until the day's calls are used up",
            "changed": "changed: only of new users, and of those whose settings changed",
            "none": "none: users only",
        },
        title="Settings histories",
        description="Whose settings history to ask for. One call a user.",
    ),
    "include_avatars": Param(
        False,
        type="boolean",
        title="Include avatars",
        description="Ask for avatar images; Gong's live service then also lists synthetic users.",
    ),
    "accept_deletions": Param(
        False,
        type="boolean",
        title="Accept deletions",
        description="Mark users as deleted whom Gong no longer knows, also when they are more than a fifth "
        "of all. Without it such a run marks none and warns.",
        section="Users who left",
    ),
    "user_ids": Param(
        None,
        type=["null", "array"],
        items=USER_ID,
        maxItems=100,
        title="Only these users",
        description="Up to 100 Gong user ids, one a line. Empty: everyone.",
        section="Only some users",
    ),
    "created_from": Param(
        None,
        type=["null", "string"],
        format="date-time",
        pattern=INSTANT,
        title="Created at or after",
        description="A date and time. Not together with user ids.",
        section="Only some users",
    ),
    "created_to": Param(
        None,
        type=["null", "string"],
        format="date-time",
        pattern=INSTANT,
        title="Created before",
        description="A date and time, itself not included.",
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

    @task.branch(**told("open_run"))
    def open_run() -> str:
        return str(_tasks().open_run())

    list_users = GongListUsersOperator(
        task_id="list_users",
        include_avatars="{{ params.include_avatars }}",
        handler=lambda page: _tasks().load_users_page(page),
        resume_from=lambda: _tasks().listing_progress_so_far(),
        **told("list_users"),
    )

    confirm_leavers = GongListUsersByFilterOperator(
        task_id="confirm_leavers",
        user_ids_from=lambda: _tasks().leavers_to_confirm(),
        # Or Gong hides the synthetic users who are there.
        include_avatars=True,
        handler=lambda page: _tasks().load_users_still_there(page),
        when_asked=lambda ids, listing: _tasks().confirm_leavers(ids, listing),
        post_execute=lambda *_: _tasks().settle_leavers(),
        **told("confirm_leavers"),
    )

    filter_users = GongListUsersByFilterOperator(
        task_id="filter_users",
        # Only where open_run found something to choose by; a param that is empty is no choice.
        user_ids="{{ params.user_ids or NO_FILTER }}",
        created_from="{{ params.created_from or NO_FILTER }}",
        created_to="{{ params.created_to or NO_FILTER }}",
        include_avatars="{{ params.include_avatars }}",
        handler=lambda page: _tasks().load_users_page(page),
        **told("filter_users"),
    )

    @task(trigger_rule=TriggerRule.NONE_FAILED, **told("plan_histories"))
    def plan_histories() -> list[Any]:
        return list(_tasks().plan_histories())

    batches = plan_histories()

    open_run() >> [list_users, filter_users, batches]
    list_users >> confirm_leavers
    [confirm_leavers, filter_users] >> batches
    load_histories(batches)

link_to_page(dag)
