"""DAGs downstream of the assets of a sync and of a refresh."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from include.gong.local.airflow_api import AirflowApiError
from include.gong.sync.assets import TABLES
from tests.end_to_end.commands import eventually
from tests.end_to_end.stack import Stack
from tests.stack.conftest import EXAMPLE, PLAIN
from tests.support import GongService, odd_world
from tests.support.stored_rows import stored_users

REFRESH = "gong_user_refresh"


@pytest.fixture(autouse=True, scope="module")
def listening(stack: Stack) -> None:
    """Unpause both listening DAGs."""
    for dag in (EXAMPLE, PLAIN):
        eventually(lambda dag=dag: stack.airflow.get(f"dags/{dag}"), f"{dag} to be read")
        stack.airflow.patch(f"dags/{dag}", {"is_paused": False})


def runs_of(stack: Stack, dag: str) -> dict[str, dict[str, Any]]:
    found = stack.airflow.get(f"dags/{dag}/dagRuns", limit=100)["dag_runs"]
    return {run["dag_run_id"]: run for run in found}


def example_said(stack: Stack, day: str, known: dict[str, Any]) -> dict[str, Any]:
    """Wait for the example's new run for a day to succeed; return its result."""

    def new() -> str | None:
        ids = [name for name, run in runs_of(stack, EXAMPLE).items() if run["partition_key"] == day]
        return next((name for name in ids if name not in known), None)

    run_id = eventually(new, f"a run of the example for {day}")
    assert stack.finished(run_id, dag=EXAMPLE) == "success"
    path = f"dags/{EXAMPLE}/dagRuns/{quote(run_id, safe='')}/taskInstances/summarise/xcomEntries/return_value"
    value: dict[str, Any] = stack.airflow.get(path)["value"]
    return value


def test_a_covered_day_costs_nothing_and_starts_the_example_with_its_day(stack: Stack) -> None:
    day, known = str(stack.day - timedelta(days=3)), runs_of(stack, EXAMPLE)
    code, estimate = stack.checkout.run("backfill", FROM=day, TO=day, DRY_RUN="1")
    assert code == 0
    assert estimate.splitlines()[-1].startswith(f"{day}: 0 calls")
    code, done = stack.checkout.run("backfill", FROM=day, TO=day)
    assert code == 0, done
    assert f"{day} · success · 0 histories · 0 calls" in done
    assert example_said(stack, day, known) == {"day": day, "users": 250, "new_changes": 0}


def test_a_refresh_through_rest_publishes_its_counts(elsewhere: Stack, database_url: str) -> None:
    stack, odd = elsewhere, odd_world(7)
    ids = [str(user["id"]) for user in odd.users]
    known = runs_of(stack, EXAMPLE)
    with GongService(odd.users, odd.histories) as service:
        stack.point_to(service, database_url)
        with pytest.raises(AirflowApiError, match="user_ids"):
            stack.trigger(REFRESH, conf={"user_ids": ["someone@corp.example"]})
        assert service.calls == []
        run_id = stack.trigger(REFRESH, conf={"user_ids": ids})
        assert stack.finished(run_id, dag=REFRESH) == "success"
    assert stored_users(database_url) == odd.expected_users()
    events = stack.airflow.get("assets/events", source_run_id=run_id)["asset_events"]
    by_table = {event["name"].removeprefix("gong_"): event for event in events}
    assert (len(events), set(by_table)) == (len(TABLES), set(TABLES))
    began = stack.airflow.get(f"dags/{REFRESH}/dagRuns/{quote(run_id, safe='')}")["start_date"]
    day = str(datetime.fromisoformat(began).date())
    assert {event["partition_key"] for event in events} == {day}
    assert by_table["users"]["extra"] == {"rows": 7, "new": 7, "changed": 0}
    changes = len(odd.expected_changes())
    assert by_table["user_settings_history"]["extra"] == {"rows": changes, "new": changes}
    assert example_said(stack, day, known) == {"day": day, "users": 7, "new_changes": changes}
    assert runs_of(stack, PLAIN) == {}
