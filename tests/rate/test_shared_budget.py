"""The shared rate of calls, on the real scheduler."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.warehouse.connect import engine_for
from tests.end_to_end.stack import TWIN, Stack, add_twin, running_stack
from tests.support import GongService, odd_world
from tests.support.grants import grants, log_grants, most_in, span_s
from tests.support.landed import landed_changes, query

RATE = 20


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack(add_twin) as running:
        yield running


@pytest.mark.parametrize("latency_s", [0, 0.5])
def test_four_tasks_at_once_keep_the_rate(stack: Stack, database_url: str, latency_s: float) -> None:
    odd = odd_world(300)
    engine = engine_for(database_url)
    log_grants(engine)
    with GongService(odd.users, odd.histories, latency_s=latency_s, calls_per_second=RATE) as service:
        stack.point_to(service, database_url, calls_per_second=RATE)
        for _ in range(3):  # the machine may stall: three times it does not
            span, refused = run_of_300(stack, service, database_url)
            if span <= 1.03 * 300 / RATE and not refused:
                break
        assert span <= 1.03 * 300 / RATE
        assert refused == 0
    assert landed_changes(database_url) == odd.expected_changes()


def run_of_300(stack: Stack, service: GongService, database_url: str) -> tuple[float, int]:
    """Seconds from the first history's place to the last, and how many calls the service refused."""
    query(database_url, "WITH gone AS (DELETE FROM api_calls) DELETE FROM grants RETURNING 1")
    service.calls.clear()
    service.answered_429 = 0
    run_id = stack.trigger()
    assert stack.finished(run_id) == "success"
    tasks = [task for task in stack.tasks(run_id) if task["task_id"] == "fetch_histories"]
    assert [task["rendered_map_index"] for task in tasks] == [
        f"batch {n} of 4 · 75 users" for n in (1, 2, 3, 4)
    ]
    assert len(service.calls) == 3 + 300 + service.answered_429
    usage = query(database_url, "SELECT endpoint, sum(calls) AS calls FROM api_usage GROUP BY 1 ORDER BY 1")
    assert [tuple(row.values()) for row in usage] == [
        ("list_users", 3),
        ("settings_history", 300 + service.answered_429),
    ]
    histories = grants(engine_for(database_url))[3:]  # after those of the list
    assert most_in(1, histories) <= RATE
    return span_s(histories), service.answered_429


def test_two_dags_at_once_share_the_rate_and_their_work(stack: Stack, database_url: str) -> None:
    odd = odd_world(300)
    with GongService(odd.users, odd.histories, latency_s=0.05, calls_per_second=RATE) as service:
        stack.point_to(service, database_url, calls_per_second=RATE)
        assert stack.sync(conf={"user_ids": [str(odd.users[0]["id"])]}) == "success"  # whose warehouse it is
        stack.airflow.patch(f"dags/{TWIN}", {"is_paused": False})
        log_grants(engine_for(database_url))
        for _ in range(3):  # the machine may stall: three times it does not
            refused = runs_of_two_dags(stack, service, database_url)
            if not refused:
                break
        assert refused == 0
    assert landed_changes(database_url) == odd.expected_changes()


def runs_of_two_dags(stack: Stack, service: GongService, database_url: str) -> int:
    """How many calls of both the service refused."""
    query(database_url, "DELETE FROM grants RETURNING 1")
    service.calls.clear()
    service.histories_asked.clear()
    service.answered_429 = 0
    run_ids = stack.trigger(), stack.trigger(dag=TWIN)
    assert [stack.finished(run_ids[0]), stack.finished(run_ids[1], dag=TWIN)] == ["success"] * 2
    assert most_in(1, grants(engine_for(database_url))) <= RATE
    # Whom one run has fetched since the other began, or asks for, the other leaves to it.
    (later,) = query(database_url, "SELECT max(started_at) AS began FROM sync_runs")
    before = sum(call.time < later["began"].timestamp() for call in service.calls)
    assert sum(service.histories_asked.values()) - 300 <= before
    return service.answered_429
