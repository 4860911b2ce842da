"""A stalled load stops the calls, so that a failed try loses few results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine

from gong_provider.client import history_fetcher
from gong_provider.client.models import ClaimResult, HistoryOutcome
from gong_provider.rate_limit.base import Limits
from include.gong.sync.budget import tasks_at_once
from include.gong.warehouse import plan
from include.gong.warehouse.connect import LOAD_RETRY_S, in_one_message, in_transaction, transaction
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.histories import load_histories
from include.gong.warehouse.users import load_users
from tests.support import GongService
from tests.support.hooks import Connect
from tests.warehouse.making import PROPAGATION_DELAY, RUN, opened, page, value

USERS = 1500
LOAD_FAILS_AFTER_S = 3

Load = Callable[[list[HistoryOutcome]], None]


@pytest.fixture
def planned(warehouse: Engine) -> Engine:
    """A warehouse with users, all without a history, and an open run."""
    now = datetime.now(UTC)
    with transaction(warehouse) as connection:
        opened(connection, at=now)
        load_users(connection, RUN, page([{"id": f"{number:04}"} for number in range(USERS)], now))
    return warehouse


@pytest.mark.parametrize("latency_s", [0.05, 0.5])
@pytest.mark.parametrize(("calls_per_second", "most_lost"), [(60, 125), (3, 7)])
def test_a_failed_try_loses_at_most_two_seconds_of_calls(
    connect: Connect,
    planned: Engine,
    monkeypatch: pytest.MonkeyPatch,
    calls_per_second: int,
    most_lost: int,
    latency_s: float,
) -> None:
    def load(group: list[HistoryOutcome]) -> None:
        with transaction(planned) as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout TO '{LOAD_FAILS_AFTER_S}s'")
            load_histories(connection, RUN, group, PROPAGATION_DELAY)

    with GongService(latency_s=latency_s) as service, ThreadPoolExecutor() as pool:
        tasks = start_tasks(connect, service, planned, monkeypatch, calls_per_second, pool, load)
        wait_for_histories(service, 2 * calls_per_second)
        with users_locked(planned):
            assert all(isinstance(task.exception(timeout=60), WarehouseError) for task in tasks)
        lost = len(service.histories_requested) - histories_loaded(planned)
        assert 0 < lost <= most_lost


def test_a_load_that_waits_loses_no_call_and_keeps_its_claims(
    connect: Connect, planned: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_fetcher, "RENEW_S", 0.5)

    def load(group: list[HistoryOutcome]) -> None:
        def both(connection: Connection) -> None:
            load_histories(connection, RUN, group, PROPAGATION_DELAY)

        in_transaction(planned, both, for_s=LOAD_RETRY_S)

    with GongService(latency_s=0.05) as service, ThreadPoolExecutor() as pool:
        tasks = start_tasks(connect, service, planned, monkeypatch, 200, pool, load)
        wait_for_histories(service, 400)
        with users_locked(planned):
            time.sleep(4)  # twice what it takes to see that no load ends
            requested = len(service.histories_requested)
            stalled_at = value(planned, "SELECT clock_timestamp()")
            time.sleep(2)
            assert len(service.histories_requested) == requested
            waiting = requested - histories_loaded(planned)
            renewed = "SELECT count(*) FROM history_claims WHERE claimed_at > :at"
            assert value(planned, renewed, at=stalled_at) >= waiting > 0
        for task in tasks:
            task.result(timeout=60)
        assert histories_loaded(planned) == USERS
        assert set(service.histories_requested.values()) == {1}
    assert value(planned, "SELECT histories_fetched FROM sync_runs") == USERS


def start_tasks(
    connect: Connect,
    service: GongService,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    calls_per_second: int,
    pool: ThreadPoolExecutor,
    load: Load,
) -> list[Future[None]]:
    """Run what the DAG's mapped tasks do, each with its own hook on a shared rate limiter."""
    with transaction(engine) as connection:
        batches = plan.plan_histories(connection, RUN, batches=tasks_at_once(Limits(calls_per_second, 0)))
    # Another address, so that the rate limiter and the loads don't share one pool of connections.
    url = engine.url.set(drivername="postgres").update_query_dict({"sslmode": "disable"})
    monkeypatch.setenv("AIRFLOW_CONN_SHARED", url.render_as_string(hide_password=False))

    def claim(ids: Sequence[str], limit: int) -> ClaimResult:
        return in_one_message(engine, lambda connection: plan.claim(connection, RUN, ids, limit))

    def fetch(batch: int) -> None:
        with transaction(engine) as connection:
            ids = plan.ids_of_batch(connection, RUN, batch)
        with connect(service, calls_per_second=calls_per_second, coordination_conn_id="shared") as hook:
            for group in hook.iter_history_groups(ids, claim=claim):
                load(group)

    return [pool.submit(fetch, batch) for batch in range(1, len(batches) + 1)]


def wait_for_histories(service: GongService, number: int) -> None:
    gives_up_at = time.monotonic() + 60
    while len(service.histories_requested) < number:
        assert time.monotonic() < gives_up_at
        time.sleep(0.02)


def histories_loaded(engine: Engine) -> int:
    return int(value(engine, "SELECT count(*) FROM user_sync_state WHERE history_fetched_at IS NOT NULL"))


@contextmanager
def users_locked(engine: Engine) -> Iterator[None]:
    """Block loads, but not claims."""
    with transaction(engine) as connection:
        connection.exec_driver_sql("LOCK TABLE user_sync_state IN EXCLUSIVE MODE")
        yield
