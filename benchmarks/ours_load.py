"""Ours without Airflow running: what each task of the DAG does, called in their order in one process.

The operators, steps and SQL are the product's own; only the context that Airflow would give is stood in for.
Tables are made beforehand (``ready_seconds``), as ``make migrate`` does: a load does that once in its life.
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

# Before anything asks for them; unset, Airflow would look in its database.
os.environ |= {"AIRFLOW_VAR_GONG_KEEP_VERSIONS_DAYS": "", "AIRFLOW_VAR_GONG_KEEP_LEFT_USERS_DAYS": ""}

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
    """The variables by which Airflow knows both connections."""
    service = {
        "conn_type": "gong",
        "host": gong,
        "login": ACCESS_KEY,
        "password": ACCESS_KEY_SECRET,
        "extra": UNLIMITED | {"account": "bench"} | extra,
    }
    return {"AIRFLOW_CONN_GONG_DEFAULT": json.dumps(service), "AIRFLOW_CONN_GONG_POSTGRES": postgres}


def load(gong: str, postgres: str, users: int) -> dict[str, object]:
    """One run of the DAG, task by task; more extras of the Gong connection may come in a variable."""
    os.environ |= connections(gong, postgres, **json.loads(os.environ.get(EXTRA, "{}")))
    begin = time.perf_counter()
    migrate(engine_for(postgres))
    ready = time.perf_counter()
    _stand_in_for_airflow(f"bench {time.time()}")
    tasks.open_run()
    GongListUsersOperator(
        task_id="list_users", handler=tasks.load_users_page, resume_from=tasks.listing_progress_so_far
    ).execute({})
    GongListUsersByFilterOperator(
        task_id="confirm_leavers",
        user_ids_from=tasks.leavers_to_confirm,
        include_avatars=True,
        handler=tasks.load_users_still_there,
        when_asked=tasks.confirm_leavers,
    ).execute({})
    tasks.settle_leavers()
    listed = time.perf_counter()
    for batch in tasks.plan_histories():
        FetchHistoriesOperator(
            task_id="fetch_histories",
            batch=batch,
            batch_to_ids=tasks.ids_of_batch,
            claim=tasks.claim,
            handler=tasks.load_history_group,
            when_day_is_used_up="leave",
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


def _stand_in_for_airflow(run_id: str) -> None:
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
