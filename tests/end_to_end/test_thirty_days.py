"""Thirty days backfilled on the real scheduler: what they cost, and that their order changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.local.runs import close_backfills
from tests.end_to_end.stack import Stack, running_stack
from tests.support import GongService, odd_world
from tests.support.landed import landed_changes, landed_users, query

USERS = 1000
TO = (datetime.now(UTC) - timedelta(days=2, minutes=30)).date()
FROM = TO - timedelta(days=29)
DAY = "day, setting_key, users_on, users_off, users_unknown, joined, left_gong, changes, complete"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as running:
        yield running


def backfill(stack: Stack, **how: Any) -> list[str]:
    """Every day a run; their states."""
    known = {run["dag_run_id"] for run in stack.runs("backfill")}
    days = {"from_date": f"{FROM}T00:00:00Z", "to_date": f"{TO}T23:59:59Z"}
    stack.airflow.post("backfills", {"dag_id": "gong_users_sync", **days, **how})
    made = [run["dag_run_id"] for run in stack.runs("backfill") if run["dag_run_id"] not in known]
    assert len(made) == 30
    return [stack.finished(run, seconds=600) for run in made]


def days_of(warehouse: str) -> list[dict[str, Any]]:
    return query(warehouse, f"SELECT {DAY} FROM recording_coverage_daily ORDER BY day, setting_key")


@pytest.mark.timeout(1200)
def test_thirty_days_cost_one_listing_and_a_history_a_user_and_then_nothing(
    stack: Stack, database_url: str
) -> None:
    odd = odd_world(USERS)
    with GongService(odd.users, odd.histories) as service:
        stack.point_to(service, database_url)
        assert set(backfill(stack, max_active_runs=1)) == {"success"}  # as make backfill does
        assert USERS < len(service.calls) <= USERS + USERS // 100
        written = days_of(database_url)
        assert all(row["complete"] for row in written if FROM <= row["day"] <= TO)
        let_another_backfill_begin(stack)
        before = len(service.calls)
        again = {"run_backwards": True, "reprocess_behavior": "completed", "max_active_runs": 6}
        assert set(backfill(stack, **again)) == {"success"}
        assert len(service.calls) == before
    assert days_of(database_url) == written
    derived = f"SELECT {DAY} FROM derived_recording_coverage('-infinity') ORDER BY day, setting_key"
    assert query(database_url, derived) == written
    assert landed_users(database_url) == odd.expected_users()
    assert landed_changes(database_url) == odd.expected_changes()


def let_another_backfill_begin(stack: Stack) -> None:
    """Airflow marks a backfill complete every half minute; until then it takes no other."""
    close_backfills(stack.airflow)
