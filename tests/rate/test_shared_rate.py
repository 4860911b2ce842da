"""Measures the shared rate of two DAGs at once on the real scheduler, with nothing else running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.gong.warehouse.connect import engine_for
from tests.end_to_end.stack import TWIN, Stack, add_twin, running_stack
from tests.support import GongService, odd_world
from tests.support.grants import grants, log_grants, most_in, span_s
from tests.support.stored_rows import query, stored_changes

RATE, USERS = 20, 300


@pytest.fixture(scope="module")
def stack(pytestconfig: pytest.Config) -> Iterator[Stack]:
    with running_stack(pytestconfig, add_twin) as running:
        yield running


def test_two_dags_at_once_share_the_rate_and_their_work(stack: Stack, database_url: str) -> None:
    """Each has up to four tasks: together they use the rate, and never exceed it on the database's clock."""
    odd = odd_world(USERS)
    with GongService(odd.users, odd.histories, latency_s=0.05) as service:
        stack.point_to(service, database_url, calls_per_second=RATE)
        assert stack.sync(conf={"user_ids": [str(odd.users[0]["id"])]}) == "success"  # whose warehouse it is
        stack.airflow.patch(f"dags/{TWIN}", {"is_paused": False})
        log_grants(engine_for(database_url))
        counted_before = calls_counted(database_url)
        service.calls.clear()
        service.histories_requested.clear()
        run_ids = stack.trigger(), stack.trigger(dag=TWIN)
        assert [stack.finished(run_ids[0]), stack.finished(run_ids[1], dag=TWIN)] == ["success"] * 2
        granted = grants(engine_for(database_url))
        # Slots that came when the other run had claimed the user are released, and not counted.
        assert calls_counted(database_url) - counted_before == len(service.calls) <= len(granted)
        assert most_in(1, granted) <= RATE
        histories = granted[-USERS:]  # after those of the lists
        assert span_s(histories) <= 1.1 * USERS / RATE
        # A run skips users that the other has fetched since it began, or has claimed.
        (later,) = query(database_url, "SELECT max(started_at) AS began FROM sync_runs")
        before = sum(call.time < later["began"].timestamp() for call in service.calls)
        assert sum(service.histories_requested.values()) - USERS <= before
    assert stored_changes(database_url) == odd.expected_changes()


def calls_counted(url: str) -> int:
    (row,) = query(url, "SELECT coalesce(sum(calls), 0)::int AS calls FROM gong.api_calls")
    return int(row["calls"])
