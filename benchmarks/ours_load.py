"""Ours without a running Airflow: calls the functions of the DAG's tasks in order, in one process.

The operators, task functions and SQL are the product's; only Airflow's context is a stub. Tables are created
beforehand (``ready_seconds``), as ``make migrate`` does once.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

from benchmarks.contestant import ACCESS_KEY, ACCESS_KEY_SECRET, contest

# Set before the imports read them; without them, Airflow would look in its database.
os.environ |= {
    f"AIRFLOW_VAR_GONG_KEEP_{kept}_DAYS": ""
    for kept in ("VERSIONS", "DELETED_USERS", "RUNS", "REJECTED_RECORDS", "API_CALLS")
}

from gong_provider.operators.gong import GongListUsersByFilterOperator, GongListUsersOperator
from include.gong.sync import run, tasks, warehouse
from include.gong.sync.dag_parts import FetchHistoriesOperator
from include.gong.warehouse.connect import engine_for
from include.gong.warehouse.migrate import migrate

USERS_SQL = "SELECT user_id, email_address FROM gong.users"
CHANGES_SQL = """
    SELECT user_id, extract(epoch FROM changed_at), setting_name, new_value FROM gong.user_settings_history
"""

EXTRA = "GONG_BENCH_EXTRA"
UNLIMITED = {"calls_per_second": 0, "calls_per_day": 0}


def connections(gong: str, postgres: str, **extra: Any) -> dict[str, str]:
    """Return the environment variables that define both connections."""
    service = {
        "conn_type": "gong",
        "host": gong,
        "login": ACCESS_KEY,
        "password": ACCESS_KEY_SECRET,
        "extra": UNLIMITED | {"account": "bench"} | extra,
    }
    return {"AIRFLOW_CONN_GONG_DEFAULT": json.dumps(service), "AIRFLOW_CONN_GONG_POSTGRES": postgres}


def load(gong: str, postgres: str, users: int) -> dict[str, object]:
    """Run the DAG once, task by task; the variable ``GONG_BENCH_EXTRA`` adds connection extras."""
    os.environ |= connections(gong, postgres, **json.loads(os.environ.get(EXTRA, "{}")))
    begin = time.perf_counter()
    migrate(engine_for(postgres))
    ready = time.perf_counter()
    _stub_airflow_context(f"bench {time.time()}")
    tasks.open_run()
    GongListUsersOperator(
        task_id="list_users", handler=tasks.load_users_page, load_checkpoint=tasks.load_listing_checkpoint
    ).execute({})
    GongListUsersByFilterOperator(
        task_id="verify_deletions",
        user_ids_callable=tasks.deletion_candidates,
        include_avatars=True,
        handler=tasks.load_present_users,
        on_chunk_done=tasks.verify_deletions,
    ).execute({})
    tasks.apply_deletions()
    listed = time.perf_counter()
    for batch in tasks.plan_histories():
        FetchHistoriesOperator(
            task_id="fetch_histories",
            batch=batch,
            batch_to_ids=tasks.ids_of_batch,
            claim=tasks.claim,
            handler=tasks.load_history_group,
            on_quota_exhausted="leave",
        ).execute({})
    fetched = time.perf_counter()
    tasks.check_run()
    tasks.finish_run()
    return {
        "seconds": time.perf_counter() - ready,
        "ready_seconds": ready - begin,
        "list_seconds": listed - ready,
        "fetch_seconds": fetched - listed,
    }


def _stub_airflow_context(run_id: str) -> None:
    ti = SimpleNamespace(id=run_id, get_dr_count=lambda **_: 0, get_task_states=lambda **_: {})
    context: dict[str, Any] = {
        "dag_run": SimpleNamespace(dag_id="gong_users_sync", run_id=run_id, partition_key=None),
        "params": {},
        "ti": ti,
        "task": MagicMock(),
        "outlet_events": defaultdict(MagicMock),
    }
    for module in (run, warehouse):
        vars(module)["get_current_context"] = lambda: context


if __name__ == "__main__":
    contest(load)
