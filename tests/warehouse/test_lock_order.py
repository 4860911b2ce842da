"""Transactions of different runs lock in one order: none waits for another that waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from include.gong.sync.run import Run, open_row
from include.gong.sync.run_params import RunParams
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.coverage import invalidate_coverage, rewrite_coverage
from include.gong.warehouse.histories import load_histories
from include.gong.warehouse.plan import plan_histories
from include.gong.warehouse.runs import RunKey
from tests.warehouse.making import HOUR, NOON, PROPAGATION_DELAY, RUN, history, load_page, opened, rows, value

# A load that has locked all of its rows but the run's waits there.
_PAUSE = """
    CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(1);
        RETURN new;
    END $$;
    CREATE TRIGGER pause BEFORE INSERT ON rejected_records FOR EACH ROW EXECUTE FUNCTION pause();
"""
_WAITING = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
NEXT = RunKey(RUN.dag_id, "manual__2")


def in_thread(engine: Engine, work: Callable[[Connection], Any], waiting: int) -> Future[Any]:
    """Start a transaction, and return once it ended, or once so many wait for a lock."""

    def run() -> None:
        with transaction(engine) as connection:
            work(connection)

    pool = ThreadPoolExecutor(1)
    future = pool.submit(run)
    pool.shutdown(wait=False)
    deadline = time.monotonic() + 30
    while not future.done() and value(engine, _WAITING) < waiting:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return future


@pytest.mark.parametrize("age", [timedelta(), timedelta(days=30)])
def test_a_run_opens_while_a_killed_one_still_loads(warehouse: Engine, age: timedelta) -> None:
    load_page(warehouse, [{"id": "1"}])
    with transaction(warehouse) as connection:
        opened(connection, RUN, NOON)
        plan_histories(connection, RUN)
        connection.exec_driver_sql(_PAUSE)

    def load(connection: Connection) -> None:
        load_histories(connection, RUN, [history("1", ["odd"])], PROPAGATION_DELAY)

    def open_next(connection: Connection) -> None:
        run = Run(NEXT, RunParams(history="all", user_ids=None))
        open_row(connection, run, NOON + age + HOUR, [RUN])

    with transaction(warehouse) as pausing:
        pausing.exec_driver_sql("SELECT pg_advisory_xact_lock(1)")
        loading = in_thread(warehouse, load, waiting=1)
        opening = in_thread(warehouse, open_next, waiting=2)
    loading.result(30)
    opening.result(30)
    states = rows(warehouse, "SELECT run_id, state, rejected_records FROM sync_runs ORDER BY run_id")
    assert states == [(RUN.run_id, "abandoned", 1), (NEXT.run_id, "running", 0)]


def test_two_runs_end_at_once(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])
    with transaction(warehouse) as connection:
        invalidate_coverage(connection, NOON, run=RUN)
    with transaction(warehouse) as connection:
        invalidate_coverage(connection, NOON - HOUR, run=RUN)
        other = in_thread(warehouse, lambda them: rewrite_coverage(them, NOON), waiting=1)
        rewrite_coverage(connection, NOON)
    other.result(30)
    assert value(warehouse, "SELECT count(*) FROM sync_runs WHERE coverage_from IS NOT NULL") == 0
