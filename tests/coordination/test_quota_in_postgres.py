"""What workers share, one question at a time: places, pauses, days, crashes; in Postgres and in a process."""

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

from gong_provider.client.client import GongClient, Transport
from gong_provider.client.errors import GongConfigError, GongCoordinationError
from gong_provider.client.protocols import FixedCredentials
from gong_provider.db.database import Database
from gong_provider.db.engine import engine_for
from gong_provider.hooks.gong import GongHook
from gong_provider.rate_limit.in_process import ProcessQuota
from gong_provider.rate_limit.limits import CallsLeft, Limits
from gong_provider.rate_limit.postgres import PostgresQuota
from tests.end_to_end.commands import eventually
from tests.support import Faults, GongService, closed_port
from tests.support.grants import grants, log_grants
from tests.warehouse.making import rows, value

T = TypeVar("T")
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


Quota = ProcessQuota | PostgresQuota


class Worker:
    """One worker's quota, with a clock of its own where one is given."""

    counts_for_s = 60  # a minute counts until its end

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        clock: Callable[[], datetime] | None = None,
        account: str = "acme",
    ) -> None:
        self._engine, self._account, self._limits, self._clock = engine, account, limits, clock

    def do(self, action: Callable[[Quota], Coroutine[Any, Any, T]]) -> T:
        database = Database(self._engine)
        try:
            return asyncio.run(action(PostgresQuota(database, self._account, self._limits, self._clock)))
        finally:
            database.close()

    def take(self, endpoint: str = "get_user") -> float:
        return self.do(lambda quota: quota.take(endpoint)).wait_s

    def pause(self, seconds: float | None) -> float:
        return self.do(lambda quota: quota.pause(seconds))

    def left(self) -> CallsLeft:
        return self.do(lambda quota: quota.calls_left())


class InProcess(Worker):
    """The same without a database: all workers are in one process."""

    counts_for_s = 0

    def __init__(self, limits: Limits, clock: Callable[[], datetime]) -> None:
        self._quota = ProcessQuota(limits, lambda: (clock() - NOON).total_seconds())

    def do(self, action: Callable[[Quota], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run(action(self._quota))


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
    """A worker of each kind, on the clock."""
    if request.param == "process":
        return lambda limits: InProcess(limits, clock)
    engine: Engine = request.getfixturevalue("warehouse")
    return lambda limits: Worker(engine, limits, clock)


def test_all_workers_stand_in_one_line(worker_with: Callable[[Limits], Worker]) -> None:
    limits = Limits(10, 0)
    worker = worker_with(limits)
    assert 0.1 < limits.interval_s <= 0.103
    assert [worker.take() for _ in range(11)] == pytest.approx([n * limits.interval_s for n in range(11)])


def test_an_account_has_its_own_line(warehouse: Engine, clock: Clock) -> None:
    assert [Worker(warehouse, Limits(1, 0), clock, account).take() for account in ("acme", "other")] == [0, 0]


def test_usage_is_kept_by_hour_and_endpoint(warehouse: Engine, clock: Clock) -> None:
    worker = Worker(warehouse, Limits(0, 100), clock)
    for minutes, endpoint in ((0, "list_users"), (1, "get_user"), (2, "get_user"), (61, "get_user")):
        clock.now = NOON + timedelta(minutes=minutes)
        worker.take(endpoint)
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
    assert [worker.take(), worker.take()] == [0, 0]
    clock.now += HOUR
    assert [worker.take(), worker.take()] == [0, 0]
    assert worker.take() == pytest.approx(23 * 3600 + worker.counts_for_s)
    clock.now += timedelta(hours=22, minutes=30)
    left = worker.left()
    assert (left.now, left.for_run, left.others) == (0, 2, 0)
    clock.now += timedelta(minutes=31)
    assert [worker.take(), worker.take()] == [0, 0]
    assert worker.take() == pytest.approx(3540 + worker.counts_for_s)


def test_a_place_given_back_is_not_counted(worker_with: Callable[[Limits], Worker]) -> None:
    async def take_and_give_back(quota: Quota) -> None:
        for _ in range(3):
            place = await quota.take("get_user")
            assert place.wait_s == 0
            await quota.give_back("get_user", place)

    worker_with(Limits(0, 1)).do(take_and_give_back)


def test_a_pause_holds_for_all_workers_and_the_latest_end_counts(
    worker_with: Callable[[Limits], Worker],
) -> None:
    limits = Limits(10, 0)
    worker = worker_with(limits)
    assert [worker.pause(30), worker.pause(10), worker.take()] == [30, 30, 30]
    # After it, calls come one by one again, not all at once.
    assert worker.take() == pytest.approx(30 + limits.interval_s)


def test_a_place_does_not_hold_when_a_pause_began(worker_with: Callable[[Limits], Worker]) -> None:
    async def taken_before_a_pause(quota: Quota) -> list[bool]:
        places = [await quota.take("get_user") for _ in range(3)]
        await quota.pause(1.5)
        return [await quota.holds(place) for place in places]

    assert worker_with(Limits(1, 0)).do(taken_before_a_pause) == [False, False, True]


def test_pauses_that_gong_does_not_time_grow_but_not_by_calls_in_flight(
    worker_with: Callable[[Limits], Worker], clock: Clock
) -> None:
    worker, pauses = worker_with(Limits(10, 0)), list[float]()
    for _ in range(5):
        pauses.append(worker.pause(None))
        assert worker.pause(None) == pytest.approx(pauses[-1])
        clock.now += timedelta(seconds=pauses[-1] + 0.001)
    assert pauses[0] < 3 < 20 < pauses[-1]
    assert all(1.1 < later / earlier < 3.4 for earlier, later in pairwise(pauses))


def test_hours_to_wait_mean_that_others_used_the_day(warehouse: Engine, clock: Clock) -> None:
    worker = Worker(warehouse, Limits(0, 100, reserve=10), clock)
    for _ in range(40):
        worker.take()
    assert worker.pause(7200) == 7200
    clock.now += timedelta(seconds=1)
    worker.pause(7199)  # a call in flight, told the same
    left = worker.left()
    assert (left.others, left.exhausted_until) == (60, NOON + 2 * HOUR)
    assert worker.take() == pytest.approx(7199)
    clock.now = NOON + 2 * HOUR
    assert worker.take() == 0
    clock.now = NOON + 25 * HOUR
    assert worker.left().others == 0


def test_without_limits_nobody_waits_and_the_database_is_not_asked(
    worker_with: Callable[[Limits], Worker], warehouse: Engine
) -> None:
    worker = worker_with(Limits(0, 0))
    assert [worker.take() for _ in range(9)] == [0] * 9
    assert value(warehouse, "SELECT count(*) FROM api_quota") == 0


def test_a_lost_connection_is_made_again_and_a_lost_database_is_one_sentence(warehouse: Engine) -> None:
    async def survive(quota: Quota) -> float:
        await quota.take("get_user")
        with warehouse.begin() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                     "WHERE datname = current_database() AND pid <> pg_backend_pid()")
            )  # fmt: skip
        return (await quota.take("get_user")).wait_s

    assert Worker(warehouse, Limits(100, 0), Clock()).do(survive) > 0
    with closed_port() as port:
        gone = engine_for(warehouse.url.set(port=port))
        with pytest.raises(GongCoordinationError, match=r"nothing answers there.*No call is made without it"):
            Worker(gone, Limits(1, 0)).take()


def test_a_place_is_given_back_once_though_the_connection_breaks_at_its_end(warehouse: Engine) -> None:
    def break_off(*_: object) -> None:
        raise psycopg2.OperationalError("server closed the connection unexpectedly")

    async def give_one_back(quota: Quota) -> None:
        for _ in range(2):
            place = await quota.take("get_user")
        event.listen(warehouse, "after_cursor_execute", break_off, once=True)
        await quota.give_back("get_user", place)

    Worker(warehouse, Limits(100, 10)).do(give_one_back)
    assert value(warehouse, "SELECT sum(calls) FROM api_calls") == 1


def test_a_service_that_refuses_pauses_the_client_and_every_call_is_counted(warehouse: Engine) -> None:
    async def ask(quota: Quota, service: GongService) -> int:
        credentials = FixedCredentials(f"Bearer {service.token}", f"{service.base_url}/v2")
        client = GongClient(transport=Transport(), credentials=credentials, quota=quota)
        answer = await client.get_user_settings_history("1")
        await client.close()
        return answer.calls

    faults = Faults(rate_limited_at={1: 1})
    with GongService([{"id": "1"}], faults=faults) as service:
        assert Worker(warehouse, Limits(50, 0)).do(lambda quota: ask(quota, service)) == 2
        times = [call.time for call in service.calls]
    assert times[1] - times[0] >= 1
    assert value(warehouse, "SELECT sum(calls) FROM api_calls") == 2


def hold_places_and_sleep(url: str) -> None:
    async def hold() -> None:
        quota = PostgresQuota(Database(engine_for(url)), "acme", Limits(20, 0))
        for _ in range(6):
            await quota.take("get_user")
        await asyncio.sleep(60)

    asyncio.run(hold())


def test_the_share_of_a_killed_worker_comes_back(warehouse: Engine) -> None:
    log_grants(warehouse)
    url = warehouse.url.render_as_string(hide_password=False)
    doomed = multiprocessing.get_context("spawn").Process(target=hold_places_and_sleep, args=(url,))
    doomed.start()
    try:
        eventually(lambda: len(grants(warehouse)) >= 6, "six slots of the worker", 60)
    finally:
        doomed.kill()
        doomed.join()
    assert Worker(warehouse, Limits(20, 0)).take() < 6 / 20 + 0.1


@pytest.fixture
def gong(monkeypatch: pytest.MonkeyPatch) -> Callable[..., GongHook]:
    def make(**extra: Any) -> GongHook:
        connection = {"conn_type": "gong", "host": "http://127.0.0.1:1", "login": "k", "password": "p"}
        monkeypatch.setenv("AIRFLOW_CONN_GONG_DEFAULT", json.dumps({**connection, "extra": extra}))
        return GongHook()

    return make


def test_the_warehouse_is_where_workers_meet_unless_another_is_named(
    warehouse: Engine, gong: Callable[..., GongHook], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = warehouse.url.set(drivername="postgres").render_as_string(hide_password=False)
    monkeypatch.setenv("AIRFLOW_CONN_GONG_POSTGRES", url)
    monkeypatch.setenv("AIRFLOW_CONN_ELSEWHERE", url)
    for extra in ({}, {"coordination_conn_id": "elsewhere"}):
        with gong(**extra) as hook:
            assert hook.calls_left().now == 9000
    assert value(warehouse, "SELECT count(*) FROM api_quota") == 1


def test_without_a_database_the_process_counts_and_says_so(
    gong: Callable[..., GongHook], caplog: pytest.LogCaptureFixture
) -> None:
    for extra in ({}, {"coordination_conn_id": ""}):
        with caplog.at_level(logging.WARNING), gong(**extra) as hook:
            assert hook.calls_left().now == 9000
        assert "counted in this process only" in caplog.text
        caplog.clear()
    with gong(coordination_conn_id="nowhere") as hook, pytest.raises(GongConfigError, match="nowhere"):
        hook.calls_left()
