"""Fails when no full daily run of gong_users_sync has succeeded for 26 hours: also one that never began."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, task

from include.gong.page.links import owner_links
from include.gong.sync.alerts import alerts_of
from include.gong.sync.dag_parts import DEFAULT_ARGS
from include.gong.sync.task_docs import task_docs

DOC = """
### What it does
Fails when no full run of `gong_users_sync` has succeeded for 26 hours: the DAG is paused, its runs fail or
hang, or the scheduler was down. A run that fails is red by itself; one that never began shows only here.

A full run is about everyone, with `history` auto or all, and about today: no backfill of a past day.

### When
Every hour, from the first run of `gong_users_sync` on. It makes no call to Gong.

### When it fails
Its log says when a run last succeeded. Look at the newest runs of `gong_users_sync`, and whether it is
paused. To stop this check, pause this DAG.
"""

with DAG(
    dag_id="gong_freshness",
    description="Fails when no full daily run of gong_users_sync has succeeded for 26 hours",
    doc_md=DOC,
    schedule="15 * * * *",
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    # A check that someone must switch on would not be there when it is needed.
    is_paused_upon_creation=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    owner_links=owner_links(),
    tags=["gong", "users"],
    **alerts_of("gong_freshness"),
):

    @task(**task_docs("check_freshness"))
    def check_freshness() -> None:
        # Imported when the task runs: parsing this file loads no database client.
        from include.gong.sync import freshness

        freshness.check_freshness()

    check_freshness()
