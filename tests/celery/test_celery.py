"""Several workers on a real Celery: they share one limit, and losing any part costs few calls."""

from __future__ import annotations

import logging
import time

import pytest

from include.gong.warehouse.connect import engine_for
from tests.celery.celery_stack import WORKERS, CeleryStack
from tests.end_to_end.commands import eventually
from tests.support import GongService, OddWorld, odd_world
from tests.support.grants import grants, most_in
from tests.support.stored_rows import stored_changes, stored_users
from tests.support.uncommitted import is_history, possibly_uncommitted

log = logging.getLogger(__name__)

RATE = 60


def span_s(service: GongService) -> float:
    """Return the seconds from the first history's call to the last."""
    times = [call.time for call in service.calls if is_history(call)]
    return max(times) - min(times)


def rows_are_equal(stack: CeleryStack, odd: OddWorld) -> None:
    assert stored_users(stack.warehouse) == odd.expected_users()
    assert stored_changes(stack.warehouse) == odd.expected_changes()


def in_the_middle(service: GongService, users: int) -> None:
    """Wait until a third of the histories are requested."""
    eventually(lambda: sum(service.histories_requested.values()) > users / 3, "a third of the histories", 90)


def paid_twice(service: GongService) -> int:
    return sum(service.histories_requested.values()) - len(service.histories_requested)


def uncommitted(service: GongService) -> int:
    """Return the number of histories that may not be in the warehouse yet."""
    return sum(map(is_history, possibly_uncommitted(service.calls)))


def test_each_service_is_healthy_by_its_own_check(stack: CeleryStack) -> None:
    for service in ("api-server", "scheduler", "dag-processor", "triggerer", "redis"):
        assert eventually(lambda name=service: stack.containers.is_healthy(name), service, 30)
    for instance in WORKERS:
        assert stack.containers.is_healthy("worker", instance), instance
    assert not stack.containers.is_healthy("worker", "worker-9")
    assert stack.containers.restarted == []


def test_a_run_stays_under_the_limit_that_all_workers_share(stack: CeleryStack) -> None:
    users = 1200
    odd = odd_world(users)
    taken = {name: stack.containers.output(name).count("received") for name in WORKERS}
    with GongService(odd.users, odd.histories, latency_s=0.05) as service:
        assert stack.finished(stack.begin(service, calls_per_second=RATE)) == "success"
        assert most_in(1, grants(engine_for(stack.warehouse))) <= RATE
        assert len(service.calls) == users / 100 + users
    rows_are_equal(stack, odd)
    assert all(stack.containers.output(name).count("received") > taken[name] for name in WORKERS)


@pytest.mark.timeout(300)
def test_a_worker_that_is_killed_costs_the_calls_in_flight(stack: CeleryStack) -> None:
    users = 600
    odd = odd_world(users)
    with GongService(odd.users, odd.histories, latency_s=0.1, calls_per_second=RATE) as service:
        run_id = stack.begin(service, calls_per_second=RATE)
        in_the_middle(service, users)
        victim = eventually(lambda: stack.workers_at(run_id), "a worker with a task of the run", 30)[0]
        lost = uncommitted(service)
        stack.containers.kill(victim)
        killed_at = time.time()
        assert stack.finished(run_id, 200) == "success"
        log.info("killed %s: over %.0f s later, %d histories twice, %d uncommitted",
                 victim, time.time() - killed_at, paid_twice(service), lost)  # fmt: skip
        assert len(service.histories_requested) == users
        assert paid_twice(service) <= lost
    rows_are_equal(stack, odd)
    assert max(task["try_number"] for task in stack.tasks(run_id)) >= 2
    stack.scale(3)


@pytest.mark.timeout(300)
def test_redis_may_be_restarted_in_the_middle(stack: CeleryStack) -> None:
    users = 600
    odd = odd_world(users)
    with GongService(odd.users, odd.histories, latency_s=0.1, calls_per_second=RATE) as service:
        run_id = stack.begin(service, calls_per_second=RATE)
        in_the_middle(service, users)
        stack.containers.stop("redis")
        time.sleep(3)
        stack.start_redis()
        assert stack.finished(run_id, 200) == "success"
        log.info("Redis restarted: %d histories twice", paid_twice(service))
        assert len(service.histories_requested) == users
        assert paid_twice(service) == 0
    rows_are_equal(stack, odd)


@pytest.mark.timeout(300)
def test_postgres_may_be_restarted_in_the_middle(stack: CeleryStack) -> None:
    users = 600
    odd = odd_world(users)
    with GongService(odd.users, odd.histories, latency_s=0.1, calls_per_second=RATE) as service:
        run_id = stack.begin(service, calls_per_second=RATE)
        in_the_middle(service, users)
        lost = uncommitted(service)
        stack.cluster.stop()
        time.sleep(3)
        stack.cluster.start()
        eventually(lambda: stack.containers.is_healthy("api-server"), "the api-server", 60)
        assert stack.finished(run_id, 200) == "success"
        log.info("Postgres restarted: %d histories twice, %d uncommitted; started again: %s",
                 paid_twice(service), lost, stack.containers.restarted)  # fmt: skip
        assert len(service.histories_requested) == users
        assert paid_twice(service) <= lost
    rows_are_equal(stack, odd)


def test_three_workers_are_faster_than_one(stack: CeleryStack) -> None:
    seconds = {}
    try:
        for workers in (1, 3):
            stack.scale(workers)
            seconds[workers] = histories_of(stack, 400, latency_s=1)
    finally:
        stack.scale(3)
    assert seconds[3] < 0.7 * seconds[1]


def histories_of(stack: CeleryStack, users: int, latency_s: float) -> float:
    """Return the seconds that the histories of a run took."""
    odd = odd_world(users)
    with GongService(odd.users, odd.histories, latency_s=latency_s) as service:
        assert stack.finished(stack.begin(service)) == "success"
        assert sum(service.histories_requested.values()) == users
        return round(span_s(service), 1)
