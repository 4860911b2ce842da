"""Pauses of calls on the real scheduler: a 429, an exhausted daily quota, a service that is down."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.end_to_end.commands import eventually
from tests.end_to_end.stack import Stack, log_of, running_stack
from tests.support import Faults, GongService, odd_world
from tests.support.stored_rows import last_run, query, stored_changes

RATE = 20


@pytest.fixture(scope="module")
def stack(pytestconfig: pytest.Config) -> Iterator[Stack]:
    with running_stack(pytestconfig) as running:
        yield running


def test_a_long_pause_frees_the_workers_and_costs_no_try(stack: Stack, database_url: str) -> None:
    odd = odd_world(120)
    faults = Faults(rate_limited_at={60: 90})
    with GongService(odd.users, odd.histories, faults=faults) as service:
        stack.point_to(service, database_url, calls_per_second=RATE)
        run_id = stack.trigger()
        eventually(lambda: len(service.calls) >= 60, "the 429")
        refused_at = service.calls[59].time

        def all_rest() -> bool:
            states = {t["state"] for t in stack.tasks(run_id) if t["task_id"] == "fetch_histories"}
            return "running" not in states and "up_for_reschedule" in states

        eventually(all_rest, "no task holds a worker", 45)
        assert stack.finished(run_id, 240) == "success"
    after = [call.time - refused_at for call in service.calls[60:]]
    in_flight = [wait for wait in after if wait < 1]
    assert len(in_flight) <= 4
    assert min(wait for wait in after if wait >= 1) >= 90 - 1
    assert {task["try_number"] for task in stack.tasks(run_id)} <= {0, 1}
    assert stored_changes(database_url) == odd.expected_changes()


def test_a_quota_exhausted_by_others_ends_histories_as_a_success(stack: Stack, database_url: str) -> None:
    odd = odd_world(120)
    faults = Faults(rate_limited_at=dict.fromkeys(range(52, 400), 7200))
    with GongService(odd.users, odd.histories, faults=faults) as service:
        stack.point_to(service, database_url, calls_per_second=RATE, calls_per_day=1000)
        run_id = stack.trigger()
        assert stack.finished(run_id) == "success"
        run = last_run(database_url)
        assert 120 - run["histories_fetched"] == run["histories_remaining"] >= 70
        assert f"{run['histories_remaining']} of 120 histories remain" in log_of(stack, run_id, "finish")
        assert {task["try_number"] for task in stack.tasks(run_id)} <= {0, 1}
        (quota,) = query(database_url, "SELECT * FROM api_quota")
        until = quota["exhausted_until"] - datetime.now(UTC)
        assert timedelta(minutes=118) < until <= timedelta(minutes=120)
        ((ours,),) = [row.values() for row in query(database_url, "SELECT sum(calls) FROM api_calls")]
        assert 0 <= 1000 - ours - quota["others_calls"] <= 40  # slots that four tasks had reserved just then
        # A listing waits for calls without a worker, and makes none meanwhile.
        made = len(service.calls)
        again = stack.trigger()

        def listing_rests() -> bool:
            return any(
                (t["task_id"], t["state"]) == ("list_users", "up_for_reschedule") for t in stack.tasks(again)
            )

        eventually(listing_rests, "the listing's rest")
        assert len(service.calls) == made
        # The pause is over: the listing and the remaining histories go on.
        over = "exhausted_until = now(), others_seen_at = now() - interval '1 day'"
        query(database_url, f"UPDATE api_quota SET {over} RETURNING 1")
        stack.end(again)
        service.faults = Faults()
        assert stack.sync() == "success"
    assert stored_changes(database_url) == odd.expected_changes()
    assert last_run(database_url)["histories_remaining"] == 0


def test_a_service_that_comes_back_is_waited_for(stack: Stack, database_url: str) -> None:
    odd = odd_world(30)
    with GongService(odd.users, odd.histories, faults=Faults(error_500=1)) as service:
        stack.point_to(service, database_url)
        run_id = stack.trigger()
        eventually(lambda: len(service.calls) >= 5, "a try of the listing")
        service.faults = Faults()
        assert stack.finished(run_id) == "success"
    (listing,) = [task for task in stack.tasks(run_id) if task["task_id"] == "list_users"]
    assert listing["try_number"] == 2
