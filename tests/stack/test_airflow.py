"""One running stack (`make up`): scheduled, triggered and backfilled through REST, disturbed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from include.local.runs import close_backfills
from include.sandbox.dialect import contract_user
from include.sandbox.world import World
from tests.end_to_end.stack import Stack, log_of, running_stack
from tests.support import Faults, GongService, odd_world
from tests.support.expected_rows import expected_changes, expected_user
from tests.support.landed import landed_changes, landed_users, last_run, query

# The newest day about which a scheduled run is due.
YESTERDAY = (datetime.now(UTC) - timedelta(days=1, minutes=30)).date()


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as running:
        yield running


def test_a_scheduled_run_is_about_the_day_before(stack: Stack) -> None:
    scheduled = stack.runs("scheduled")
    assert scheduled[0]["partition_key"] == str(YESTERDAY)
    run = last_run(stack.sandbox_warehouse)
    assert (run["day"], run["users_listed"], run["histories_fetched"]) == (YESTERDAY, 250, 250)
    world = World()
    users = [expected_user(contract_user(user)) for user in world.users]
    assert landed_users(stack.sandbox_warehouse) == {user["user_id"]: user for user in users}
    expected = [
        row for user in users for row in expected_changes(user["user_id"], world.history(user["user_id"]))
    ]
    assert landed_changes(stack.sandbox_warehouse) == sorted(expected, key=repr)


def test_the_grid_reads_like_a_story(stack: Stack) -> None:
    (run,) = stack.runs("scheduled")
    tasks = stack.tasks(run["dag_run_id"])
    names = sorted(task["rendered_map_index"] for task in tasks if task["task_id"] == "fetch_histories")
    assert names == [f"batch {n} of 4 · {63 - (n > 2)} users" for n in (1, 2, 3, 4)]
    states = {task["task_id"]: task["state"] for task in tasks if task["map_index"] < 1}
    assert states["filter_users"] == "skipped"
    assert states["finish"] == "success"


def backfill(stack: Stack, first: date, last: date, **how: Any) -> list[str]:
    """From the UI's own dialog: the DAG's limit of one run at a time does not bind it. Each run's state."""
    close_backfills(stack.airflow)  # Airflow does so every half minute; until then it takes no other
    known = {run["dag_run_id"] for run in stack.runs("backfill")}
    days = {"from_date": f"{first}T00:00:00Z", "to_date": f"{last}T23:59:59Z"}
    stack.airflow.post("backfills", {"dag_id": "gong_users_sync", **days, **how})
    made = [run for run in stack.runs("backfill") if run["dag_run_id"] not in known]
    expected = [str(first + timedelta(days=number)) for number in range((last - first).days + 1)]
    assert sorted(run["partition_key"] for run in made) == expected
    return [stack.finished(run["dag_run_id"], seconds=300) for run in made]


def test_a_backfill_of_many_days_at_once_is_right(stack: Stack, database_url: str) -> None:
    odd = odd_world(120)
    days = [YESTERDAY - timedelta(days=number) for number in range(10, 5, -1)]
    with GongService(odd.users, odd.histories) as service:
        stack.point_to(service, database_url)
        assert set(backfill(stack, days[0], days[-1], max_active_runs=5)) == {"success"}
        assert set(service.histories_asked.values()) == {1}
    assert landed_users(database_url) == odd.expected_users()
    assert landed_changes(database_url) == odd.expected_changes()
    runs = query(database_url, "SELECT day, state FROM sync_runs ORDER BY day")
    assert [(run["day"], run["state"]) for run in runs] == [(day, "success") for day in days]


def test_five_days_cost_one_listing_and_a_history_a_user_and_then_nothing(
    stack: Stack, database_url: str
) -> None:
    """And their order changes nothing."""
    odd = odd_world(400)
    first, last = YESTERDAY - timedelta(days=15), YESTERDAY - timedelta(days=11)
    with GongService(odd.users, odd.histories) as service:
        stack.point_to(service, database_url)
        assert set(backfill(stack, first, last, max_active_runs=1)) == {"success"}  # as make backfill does
        assert len(service.calls) == 400 / 100 + 400
        written = query(database_url, COVERAGE.format("recording_coverage_daily"))
        assert all(row["complete"] for row in written if first <= row["day"] <= last)
        again = {"run_backwards": True, "reprocess_behavior": "completed", "max_active_runs": 6}
        assert set(backfill(stack, first, last, **again)) == {"success"}
        assert len(service.calls) == 400 / 100 + 400
    assert query(database_url, COVERAGE.format("recording_coverage_daily")) == written
    assert query(database_url, COVERAGE.format("derived_recording_coverage('-infinity')")) == written
    assert landed_users(database_url) == odd.expected_users()
    assert landed_changes(database_url) == odd.expected_changes()


COVERAGE = """
    SELECT day, setting_key, users_on, users_off, users_unknown, joined, left_gong, changes, complete
    FROM {} ORDER BY day, setting_key
"""


@pytest.mark.parametrize("dialect", ["contract", "live"])
def test_a_service_we_do_not_ship_lands_exactly_through_all_its_faults(
    stack: Stack, database_url: str, dialect: Any
) -> None:
    odd = odd_world(1000, dialect)
    faults = Faults(error_500=0.02, reset=0.01, truncated=0.0025, html=0.0025, hang_at={500}, seed=2)
    with GongService(odd.users, odd.histories, dialect=dialect, faults=faults) as service:
        stack.point_to(service, database_url)
        assert stack.sync() == "success"
    assert landed_users(database_url) == odd.expected_users()
    assert landed_changes(database_url) == odd.expected_changes()
    run = last_run(database_url)
    assert (run["users_listed"], run["users_new"], run["histories_fetched"]) == (1000, 1000, 1000)
    assert run["calls_made"] == len(service.calls)


def test_one_users_trouble_fails_the_run_with_all_else_loaded(stack: Stack, database_url: str) -> None:
    odd = odd_world(40)
    ids = [str(user["id"]) for user in odd.users]
    faults = Faults(gone=[ids[2]], bad_history={ids[5]: 400})
    with GongService(odd.users, odd.histories, faults=faults) as service:
        stack.point_to(service, database_url)
        run_id = stack.trigger()
        assert stack.finished(run_id) == "failed"
    run = last_run(database_url)
    assert (run["state"], run["histories_fetched"]) == ("failed", 38)
    assert (run["histories_failed"], run["users_gone"]) == (1, 1)
    assert "1 of 40 histories could not be fetched" in log_of(stack, run_id, "finish")
    without = [change for change in odd.expected_changes() if change.user_id not in (ids[2], ids[5])]
    assert landed_changes(database_url) == without
    assert len(landed_users(database_url)) == 40


def test_an_empty_account_reaches_the_last_task(stack: Stack, database_url: str) -> None:
    with GongService([]) as service:
        stack.point_to(service, database_url)
        assert stack.sync() == "success"
        assert len(service.calls) == 1
    assert last_run(database_url)["state"] == "success"
