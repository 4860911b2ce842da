"""The rate limiters in Postgres and in a process: slots, pauses, daily quotas, crashes."""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar

import psycopg2
import pytest
from sqlalchemy import Engine, event, text

from gong_provider.client.client import FixedCredentials, GongClient, HttpOptions
from gong_provider.client.errors import GongCoordinationError
from gong_provider.db.engine import Database, engine_for
from gong_provider.hooks.gong import GongHook
from gong_provider.rate_limit.base import CallsRemaining, Limits
from gong_provider.rate_limit.in_process import InProcessRateLimiter
from gong_provider.rate_limit.postgres import PostgresRateLimiter
from tests.end_to_end.commands import eventually
from tests.support import Faults, GongService, closed_port
from tests.support.grants import grants, log_grants
from tests.warehouse.making import rows, value

T = TypeVar("T")
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


RateLimiter = InProcessRateLimiter | PostgresRateLimiter


class Worker:
    """One worker's rate limiter, optionally with its own clock."""

    counts_for_s = 60  # a minute counts until its end

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        clock: Callable[[], datetime] | None = None,
        account: str = "acme",
    ) -> None:
        self._engine, self._account, self._limits, self._clock = engine, account, limits, clock

    def do(self, action: Callable[[RateLimiter], Coroutine[Any, Any, T]]) -> T:
        database = Database(self._engine)
        try:
            return asyncio.run(
                action(PostgresRateLimiter(database, self._account, self._limits, self._clock))
            )
        finally:
            database.close()

    def acquire(self, endpoint: str = "get_user") -> float:
        return self.do(lambda limiter: limiter.acquire(endpoint)).wait_s

    def pause(self, seconds: float | None) -> float:
        return self.do(lambda limiter: limiter.pause(seconds))

    def remaining(self) -> CallsRemaining:
        return self.do(lambda limiter: limiter.calls_remaining())


class InProcess(Worker):
    """The same without a database: all workers are in one process."""

    counts_for_s = 0

    def __init__(self, limits: Limits, clock: Callable[[], datetime]) -> None:
        self._rate_limiter = InProcessRateLimiter(limits, lambda: (clock() - NOON).total_seconds())

    def do(self, action: Callable[[RateLimiter], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run(action(self._rate_limiter))


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["postgres", "process"])
def worker_with(request: pytest.FixtureRequest, clock: Clock) -> Callable[[Limits], Worker]:
    """A worker with each kind of rate limiter, on the test's clock."""
    if request.param == "process":
        return lambda limits: InProcess(limits, clock)
    engine: Engine = request.getfixturevalue("warehouse")
    return lambda limits: Worker(engine, limits, clock)


def test_all_workers_share_one_sequence_of_slots(worker_with: Callable[[Limits], Worker]) -> None:
    limits = Limits(10, 0)
    worker = worker_with(limits)
    assert 0.1 < limits.interval_s <= 0.103
    assert [worker.acquire() for _ in range(11)] == pytest.approx([n * limits.interval_s for n in range(11)])


def test_an_account_has_its_own_sequence_of_slots(warehouse: Engine, clock: Clock) -> None:
    assert [Worker(warehouse, Limits(1, 0), clock, account).acquire() for account in ("acme", "other")] == [
        0,
        0,
    ]


def test_usage_is_kept_by_hour_and_endpoint(warehouse: Engine, clock: Clock) -> None:
    worker = Worker(warehouse, Limits(0, 100), clock)
    for minutes, endpoint in ((0, "list_users"), (1, "get_user"), (2, "get_user"), (61, "get_user")):
        clock.now = NOON + timedelta(minutes=minutes)
        worker.acquire(endpoint)
    usage = "SELECT account, hour, endpoint, calls FROM api_usage ORDER BY hour, endpoint"
    assert rows(warehouse, usage) == [
        ("acme", NOON, "get_user", 2),
        ("acme", NOON, "list_users", 1),
        ("acme", NOON + HOUR, "get_user", 1),
    ]


def test_a_day_is_any_24_hours_and_leaves_the_reserve(
    worker_with: Callable[[Limits], Worker], clock: Clock
) -> None:
    worker = worker_with(Limits(0, 6, reserve=2))
    assert [worker.acquire(), worker.acquire()] == [0, 0]
    clock.now += HOUR
    assert [worker.acquire(), worker.acquire()] == [0, 0]
    assert worker.acquire() == pytest.approx(23 * 3600 + worker.counts_for_s)
    clock.now += timedelta(hours=22, minutes=30)
    remaining = worker.remaining()
    assert (remaining.now, remaining.for_run, remaining.others) == (0, 2, 0)
    clock.now += timedelta(minutes=31)
    assert [worker.acquire(), worker.acquire()] == [0, 0]
    assert worker.acquire() == pytest.approx(3540 + worker.counts_for_s)


def test_a_released_slot_is_not_counted(worker_with: Callable[[Limits], Worker]) -> None:
    async def acquire_and_release(limiter: RateLimiter) -> None:
        for _ in range(3):
            slot = await limiter.acquire("get_user")
            assert slot.wait_s == 0
            await limiter.release("get_user", slot)

    worker_with(Limits(0, 1)).do(acquire_and_release)


def test_a_pause_applies_to_all_workers_and_the_latest_end_counts(
    worker_with: Callable[[Limits], Worker],
) -> None:
    limits = Limits(10, 0)
    worker = worker_with(limits)
    assert [worker.pause(30), worker.pause(10), worker.acquire()] == [30, 30, 30]
    # After it, calls come one by one again, not all at once.
    assert worker.acquire() == pytest.approx(30 + limits.interval_s)


def test_a_slot_is_invalid_when_a_pause_began(worker_with: Callable[[Limits], Worker]) -> None:
    async def acquired_before_a_pause(limiter: RateLimiter) -> list[bool]:
        slots = [await limiter.acquire("get_user") for _ in range(3)]
        await limiter.pause(1.5)
        return [await limiter.is_valid(slot) for slot in slots]

    assert worker_with(Limits(1, 0)).do(acquired_before_a_pause) == [False, False, True]


def test_guessed_pauses_grow_but_not_by_calls_in_flight(
    worker_with: Callable[[Limits], Worker], clock: Clock
) -> None:
    worker, pauses = worker_with(Limits(10, 0)), list[float]()
    for _ in range(5):
        pauses.append(worker.pause(None))
        assert worker.pause(None) == pytest.approx(pauses[-1])
        clock.now += timedelta(seconds=pauses[-1] + 0.001)
    assert pauses[0] < 3 < 20 < pauses[-1]
    assert all(1.1 < later / earlier < 3.4 for earlier, later in pairwise(pauses))


def test_a_pause_of_hours_means_that_other_tools_used_the_daily_quota(
    warehouse: Engine, clock: Clock
) -> None:
    worker = Worker(warehouse, Limits(0, 100, reserve=10), clock)
    for _ in range(40):
        worker.acquire()
    assert worker.pause(7200) == 7200
    clock.now += timedelta(seconds=1)
    worker.pause(7199)  # a call in flight gets the same response
    remaining = worker.remaining()
    assert (remaining.others, remaining.exhausted_until) == (60, NOON + 2 * HOUR)
    assert worker.acquire() == pytest.approx(7199)
    clock.now = NOON + 2 * HOUR
    assert worker.acquire() == 0
    clock.now = NOON + 25 * HOUR
    assert worker.remaining().others == 0


def test_without_limits_no_call_waits(clock: Clock) -> None:
    worker = InProcess(Limits(0, 0), clock)
    assert [worker.acquire() for _ in range(9)] == [0] * 9


def test_a_lost_connection_is_made_again_and_a_lost_database_is_one_sentence(warehouse: Engine) -> None:
    async def survive(limiter: RateLimiter) -> float:
        await limiter.acquire("get_user")
        with warehouse.begin() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                     "WHERE datname = current_database() AND pid <> pg_backend_pid()")
            )  # fmt: skip
        return (await limiter.acquire("get_user")).wait_s

    assert Worker(warehouse, Limits(100, 0), Clock()).do(survive) > 0
    with closed_port() as port:
        unreachable = engine_for(warehouse.url.set(port=port))
        with pytest.raises(GongCoordinationError, match=r"nothing answers there.*No call is made without it"):
            Worker(unreachable, Limits(1, 0)).acquire()


def test_a_slot_is_released_once_though_the_connection_breaks_at_the_end(warehouse: Engine) -> None:
    def break_off(*_: object) -> None:
        raise psycopg2.OperationalError("server closed the connection unexpectedly")

    async def release_one(limiter: RateLimiter) -> None:
        for _ in range(2):
            slot = await limiter.acquire("get_user")
        event.listen(warehouse, "after_cursor_execute", break_off, once=True)
        await limiter.release("get_user", slot)

    Worker(warehouse, Limits(100, 10)).do(release_one)
    assert value(warehouse, "SELECT sum(calls) FROM api_calls") == 1


def test_a_service_that_refuses_pauses_the_client_and_every_call_is_counted(warehouse: Engine) -> None:
    async def fetch(limiter: RateLimiter, service: GongService) -> int:
        credentials = FixedCredentials(f"Bearer {service.token}", f"{service.base_url}/v2")
        client = GongClient(http_options=HttpOptions(), credentials=credentials, rate_limiter=limiter)
        history = await client.get_user_settings_history("1")
        await client.close()
        return history.calls

    faults = Faults(rate_limited_at={1: 1})
    with GongService([{"id": "1"}], faults=faults) as service:
        assert Worker(warehouse, Limits(50, 0)).do(lambda limiter: fetch(limiter, service)) == 2
        times = [call.time for call in service.calls]
    assert times[1] - times[0] >= 1
    assert value(warehouse, "SELECT sum(calls) FROM api_calls") == 2


def reserve_slots_and_sleep(url: str) -> None:
    async def reserve() -> None:
        limiter = PostgresRateLimiter(Database(engine_for(url)), "acme", Limits(20, 0))
        for _ in range(6):
            await limiter.acquire("get_user")
        await asyncio.sleep(60)

    asyncio.run(reserve())


def test_the_slots_of_a_killed_worker_delay_others_only_briefly(warehouse: Engine) -> None:
    log_grants(warehouse)
    url = warehouse.url.render_as_string(hide_password=False)
    doomed = multiprocessing.get_context("spawn").Process(target=reserve_slots_and_sleep, args=(url,))
    doomed.start()
    try:
        eventually(lambda: len(grants(warehouse)) >= 6, "six slots of the worker", 60)
    finally:
        doomed.kill()
        doomed.join()
    assert Worker(warehouse, Limits(20, 0)).acquire() < 6 / 20 + 0.1


@pytest.fixture
def gong(monkeypatch: pytest.MonkeyPatch) -> Callable[..., GongHook]:
    def make(**extra: Any) -> GongHook:
        connection = {"conn_type": "gong", "host": "http://127.0.0.1:1", "login": "k", "password": "p"}
        monkeypatch.setenv("AIRFLOW_CONN_GONG_DEFAULT", json.dumps({**connection, "extra": extra}))
        return GongHook()

    return make


def test_workers_share_the_warehouses_database_unless_another_is_named(
    warehouse: Engine, gong: Callable[..., GongHook], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = warehouse.url.set(drivername="postgres").render_as_string(hide_password=False)
    monkeypatch.setenv("AIRFLOW_CONN_GONG_POSTGRES", url)
    monkeypatch.setenv("AIRFLOW_CONN_ELSEWHERE", url)
    for extra in ({}, {"coordination_conn_id": "elsewhere"}):
        with gong(**extra) as hook:
            assert hook.calls_remaining().now == 9000
    assert value(warehouse, "SELECT count(*) FROM api_quota") == 1


def test_without_limits_the_database_is_not_used(
    warehouse: Engine, gong: Callable[..., GongHook], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = warehouse.url.set(drivername="postgres").render_as_string(hide_password=False)
    monkeypatch.setenv("AIRFLOW_CONN_GONG_POSTGRES", url)
    with gong(calls_per_second=0, calls_per_day=0) as hook:
        assert hook.calls_remaining().now is None
    assert value(warehouse, "SELECT count(*) FROM api_quota") == 0


def test_without_a_database_the_process_counts_and_warns(
    gong: Callable[..., GongHook], caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("", "none"):
        with caplog.at_level(logging.WARNING), gong(coordination_conn_id=name) as hook:
            assert hook.calls_remaining().now == 9000
        assert "counted in this process only" in caplog.text
        caplog.clear()


@pytest.mark.parametrize("value", [None, "{cut off", "postgres://h:port/d"])
@pytest.mark.parametrize("name", [None, "elsewhere"])
def test_a_database_that_airflow_has_not_or_cant_read_is_an_error(
    gong: Callable[..., GongHook], monkeypatch: pytest.MonkeyPatch, name: str | None, value: str | None
) -> None:
    used = name or "gong_postgres"
    monkeypatch.delenv(f"AIRFLOW_CONN_{used.upper()}", raising=False)
    if value:
        monkeypatch.setenv(f"AIRFLOW_CONN_{used.upper()}", value)
    with gong(coordination_conn_id=name) as hook, pytest.raises(GongCoordinationError, match=used):
        hook.calls_remaining()
