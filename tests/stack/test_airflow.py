"""Tests that need the scheduler: the schedule, the logs of a run's tasks, and several days at once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from include.gong.sandbox.api_variant import contract_user
from include.gong.sandbox.world import World
from tests.end_to_end.commands import eventually
from tests.end_to_end.stack import DAG, Stack
from tests.support import GongService, odd_world
from tests.support.documents import ROOT, blocks_of
from tests.support.expected_rows import expected_changes, expected_user
from tests.support.stored_rows import query, stored_changes, stored_users


@pytest.fixture
def scheduled(stack: Stack) -> dict[str, Any]:
    """The scheduler's own run."""
    (run,) = stack.runs("scheduled")
    return run


def lines(stack: Stack, run_id: str, task_id: str, map_index: int = -1) -> list[str]:
    """Return a task's log as the UI shows it: without its folds."""
    path = f"{DAG}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/logs/1"
    log = stack.airflow.get(path, map_index=map_index, full_content=True)
    events = [line["event"] for line in log["content"] if isinstance(line, dict)]
    return [line for line in events if line and not line.startswith(("::group::", "::endgroup::"))]


def test_a_scheduled_run_is_about_the_day_before(stack: Stack, scheduled: dict[str, Any]) -> None:
    day = datetime.fromisoformat(scheduled["run_after"]).date() - timedelta(days=1)
    assert scheduled["partition_key"] == str(day)
    (run,) = query(
        stack.sandbox_warehouse, "SELECT * FROM sync_runs WHERE run_id = :id", id=scheduled["dag_run_id"]
    )
    assert (run["day"], run["users_listed"], run["histories_fetched"]) == (day, 250, 250)
    world = World(clock=lambda: datetime.now(UTC))
    users = [expected_user(contract_user(user)) for user in world.users]
    assert stored_users(stack.sandbox_warehouse) == {user["user_id"]: user for user in users}
    expected = [
        row for user in users for row in expected_changes(user["user_id"], world.history(user["user_id"]))
    ]
    assert stored_changes(stack.sandbox_warehouse) == sorted(expected, key=repr)


def test_the_logs_of_a_run_summarize_it(stack: Stack, scheduled: dict[str, Any]) -> None:
    run_id = scheduled["dag_run_id"]
    tasks = stack.tasks(run_id)
    names = sorted(task["rendered_map_index"] for task in tasks if task["task_id"] == "fetch_histories")
    assert names == [f"batch {n} of 4 · {63 - (n > 2)} users" for n in (1, 2, 3, 4)]
    states = {task["task_id"]: task["state"] for task in tasks if task["map_index"] < 1}
    assert (states["filter_users"], states["finish"]) == ("skipped", "success")
    assert any(
        re.fullmatch(r"250 users, 250 new, [\d,]+ changes, 253 calls, 0 histories remaining", line)
        for line in lines(stack, run_id, "finish")
    )
    assert any(
        re.fullmatch(r"users 250 of 250 · 3 calls in \d s", line)
        for line in lines(stack, run_id, "list_users")
    )
    fetching = lines(stack, run_id, "fetch_histories", 0)
    assert any(re.fullmatch(r"histories 63 of 63 · .* in \d+ s", line) for line in fetching)


def test_each_task_links_to_the_page_of_its_run(stack: Stack, scheduled: dict[str, Any]) -> None:
    quoted = quote(scheduled["dag_run_id"], safe="")
    address = f"{stack.airflow.address}/plugin/gong/gong/runs/gong_users_sync/{quoted}"
    ran = [task for task in stack.tasks(scheduled["dag_run_id"]) if task["state"] == "success"]
    assert {task["task_display_name"] for task in ran} >= {"Open the run", "Fetch histories", "Close the run"}
    for task in ran:
        path = f"{DAG}/dagRuns/{quoted}/taskInstances/{task['task_id']}/links"
        found = stack.airflow.get(path, map_index=task["map_index"])
        assert found["extra_links"] == {"Gong page": address}, task["task_id"]


def opened(stack: Stack) -> list[Any]:
    """Return the open backfills; Airflow marks one as complete up to half a minute after its last run."""
    found = stack.airflow.get("backfills", dag_id="gong_users_sync", order_by="-id")["backfills"]
    return [each for each in found if each["completed_at"] is None]


def test_days_that_are_backfilled_at_once_are_right(elsewhere: Stack, database_url: str) -> None:
    """The customer's command, as on the page but for its days, and with more runs than the DAG allows."""
    stack, odd = elsewhere, odd_world(120)
    days = [stack.day - timedelta(days=back) for back in (10, 9, 8)]
    (page,) = [
        each.text for each in blocks_of(ROOT / "docs" / "schedule.md") if "backfill create" in each.text
    ]
    command = page.replace("2026-01-01", str(days[0])).replace("2026-01-03", str(days[-1]))
    eventually(lambda: not opened(stack), "the end of earlier backfills", 60)
    known = {run["dag_run_id"] for run in stack.runs("backfill")}
    with GongService(odd.users, odd.histories) as service:
        stack.point_to(service, database_url)
        session = json.loads((stack.checkout.local / "session.json").read_text())
        environment = session["environment"]
        programs = os.pathsep.join((str(Path(sys.executable).parent), environment["PATH"]))
        subprocess.run(
            ["sh", "-e", "-c", command.replace("active-runs 1", "active-runs 3")],
            env=environment | {"PATH": programs}, check=True, capture_output=True,
        )  # fmt: skip
        made = [run for run in stack.runs("backfill") if run["dag_run_id"] not in known]
        assert sorted(run["partition_key"] for run in made) == [str(day) for day in days]
        assert {stack.finished(run["dag_run_id"]) for run in made} == {"success"}
        assert set(service.histories_requested.values()) == {1}
    assert stored_users(database_url) == odd.expected_users()
    assert stored_changes(database_url) == odd.expected_changes()
    runs = query(database_url, "SELECT day, state FROM sync_runs ORDER BY day")
    assert [(run["day"], run["state"]) for run in runs] == [(day, "success") for day in days]
