"""Days whose quota does not suffice for all users: the backlog, its estimates, and long listings."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import Engine

from gong_provider import metrics
from gong_provider.client.errors import GongDailyQuotaExceededError
from include.gong.sync import run
from include.gong.warehouse.connect import transaction
from tests.coordination.days import BEGIN, DAY, World, most_calls_in_24_hours
from tests.support import Faults, GongService
from tests.support.stats import recorded_stats
from tests.warehouse.making import rows, value

USERS, DAILY, RESERVE = 1000, 400, 40
# What semantics.md promises: 2N / B' days, B' being what is left for histories.
BOUND = timedelta(days=-(-2 * USERS // (DAILY - RESERVE - USERS // 100)))


MakeWorld = Callable[[int, int], World]


@pytest.fixture
def world_of(warehouse: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeWorld]:
    """Return a world of so many users and calls a day, with a tenth of them reserved for other tools."""
    with GongService() as service:

        def made(users: int, calls_per_day: int) -> World:
            service.users = [
                {"id": f"{n:04}", "settings": {"webConferencesRecorded": True}} for n in range(users)
            ]
            gong = {
                "conn_type": "gong", "host": service.base_url, "login": service.key,
                "password": service.secret,
                "extra": {"calls_per_second": 0, "calls_per_day": calls_per_day},
            }  # fmt: skip
            monkeypatch.setenv("AIRFLOW_CONN_GONG_DEFAULT", json.dumps(gong))
            url = warehouse.url.set(drivername="postgres").render_as_string(hide_password=False)
            monkeypatch.setenv("AIRFLOW_CONN_GONG_POSTGRES", url)
            return World(service, monkeypatch)

        yield made


@pytest.fixture
def world(world_of: MakeWorld) -> World:
    return world_of(USERS, DAILY)


def test_airflow_and_gong_are_called_outside_transactions(
    world_of: MakeWorld, warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, transactions = world_of(30, 0), []
    get_connection = BaseHook.get_connection

    def of_airflow(_class: type[BaseHook], conn_id: str) -> Any:
        transactions.append(value(warehouse, IN_TRANSACTION))
        return get_connection(conn_id)

    def runs_that_live(**_: Any) -> int:
        transactions.append(value(warehouse, IN_TRANSACTION))
        return 0

    monkeypatch.setattr(BaseHook, "get_connection", classmethod(of_airflow))
    world.run(runs_that_live=runs_that_live)
    rows(warehouse, "UPDATE sync_runs SET state = 'running' RETURNING 1")  # as if it were killed
    world.run(runs_that_live=runs_that_live)
    assert value(warehouse, "SELECT count(*) FROM sync_runs WHERE state = 'abandoned'") == 1
    assert len(transactions) > 4
    assert set(transactions) == {0}


IN_TRANSACTION = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle in transaction'
"""


def test_a_run_keeps_its_results_while_no_load_succeeds(world_of: MakeWorld, warehouse: Engine) -> None:
    """For longer than what was not paid for is tried: each try ends by a timeout, for ten seconds."""
    world = world_of(30, 0)
    world.run("none")
    with transaction(warehouse) as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {warehouse.url.database} SET statement_timeout = '300ms'")
    warehouse.dispose()  # the next connections have it
    with ThreadPoolExecutor() as pool:
        locked = pool.submit(lock_users, warehouse, 10)
        assert locked.running()
        world.run("all")
    assert set(world.service.histories_requested.values()) == {1}
    assert value(warehouse, "SELECT count(*) FROM user_sync_state WHERE history_fetched_at IS NOT NULL") == 30


def lock_users(engine: Engine, seconds: float) -> None:
    with transaction(engine) as connection:
        connection.exec_driver_sql("LOCK TABLE user_settings_history IN EXCLUSIVE MODE")
        time.sleep(seconds)


def test_a_run_that_cant_publish_fails(
    world: World, warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = []

    def fails(*_: Any) -> None:
        states.append(value(warehouse, "SELECT state FROM sync_runs"))
        raise OSError("no room")

    monkeypatch.setattr(run, "publish", fails)
    with pytest.raises(OSError, match="no room"):
        world.run()
    assert [*states, value(warehouse, "SELECT state FROM sync_runs")] == ["running", "failed"]


def test_the_backlog_and_the_calls_that_remain_are_metrics(world: World) -> None:
    with recorded_stats() as recorded:
        done = world.run()
    assert recorded.gauges[metrics.BACKLOG] == done["histories_remaining"] > 0
    assert recorded.gauges[metrics.CALLS_REMAINING] == 0


@pytest.mark.parametrize("changing", [50, 400])
def test_all_histories_are_fetched_within_the_bound_and_no_day_exceeds_the_limit(
    world: World, warehouse: Engine, changing: int
) -> None:
    for day in range(10):
        world.change(changing * day, changing)
        done = world.run()
        assert done["histories_remaining"] == value(
            warehouse, "SELECT count(*) FROM user_sync_state WHERE history_fetched_at IS DISTINCT FROM :at",
            at=world.now,
        )  # fmt: skip
        if changing == 50 and day:
            # Whoever changed is asked the same day, as long as half the budget suffices.
            assert (
                value(
                    warehouse, "SELECT count(*) FROM user_sync_state WHERE history_pending_since IS NOT NULL"
                )
                == 0
            )
        if world.now - BEGIN >= BOUND:
            oldest = value(
                warehouse, "SELECT min(coalesce(history_fetched_at, '-infinity')) FROM user_sync_state"
            )
            assert world.now - oldest <= BOUND * (DAY / timedelta(days=1))
        if day % 3 == 1:  # someone runs it by hand, too: it waits, for nothing is left to ask with
            world.now += timedelta(hours=9)
            with pytest.raises(GongDailyQuotaExceededError, match=r"the next is free in 15\.0 hours"):
                world.run()
            world.now -= timedelta(hours=9)
        world.now += DAY
    assert DAILY - RESERVE - 10 <= most_calls_in_24_hours(warehouse) <= DAILY - RESERVE


def test_a_run_reports_its_backlog_and_eta(world: World, warehouse: Engine) -> None:
    assert world.run()["histories_remaining"] == 650
    assert value(warehouse, "SELECT calls_remaining FROM sync_runs") == 0
    promised = value(warehouse, "SELECT backlog_eta FROM sync_runs")
    while value(warehouse, "SELECT count(*) FROM user_sync_state WHERE history_fetched_at IS NULL"):
        world.now += DAY
        world.run()
    assert world.now.date() <= promised


def test_each_history_mode_plans_its_users(world: World, warehouse: Engine) -> None:
    world.run()
    world.now += DAY
    world.change(0, 30)
    assert world.run("none")["histories_fetched"] == 0
    reasons = "SELECT reason, count(*) FROM history_plan WHERE run_id = :run GROUP BY 1 ORDER BY 1"
    assert rows(warehouse, reasons, run="run 2") == []
    assert world.run("changed")["histories_fetched"] == 340
    assert rows(warehouse, reasons, run="run 3") == [("changed", 30), ("never", 310)]
    world.now += DAY
    assert world.run("all")["histories_fetched"] == 350
    assert rows(warehouse, reasons, run="run 4") == [("never", 340), ("oldest", 660)]
    assert value(warehouse, "SELECT histories_remaining FROM sync_runs WHERE run_id = 'run 4'") == 650


FETCHED = "SELECT count(*) FROM user_sync_state WHERE history_fetched_at IS NOT NULL"
BACKLOG_STATUS = "SELECT backlog_status FROM sync_runs ORDER BY started_at DESC LIMIT 1"
PROGRESS = re.compile(
    r"(?P<stored>[\d,]+) of [\d,]+ settings histories are stored \((?P<percent>\d+)%\): "
    r"complete by about (?P<day>[\d-]+), (?P<days>\d+) days? at (?P<rate>[\d,]+) a day\. Runs go on"
)


def progress_of(engine: Engine) -> dict[str, str]:
    found = PROGRESS.match(value(engine, BACKLOG_STATUS))
    assert found, value(engine, BACKLOG_STATUS)
    return found.groupdict()


def test_each_day_reports_progress_and_eta(
    world_of: MakeWorld, warehouse: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    world = world_of(1000, 200)  # 180 are ours, 10 pages: 170 a day
    caplog.set_level(logging.INFO, logger="include")
    for day in range(5):
        caplog.clear()
        world.run()
        lines = [record.getMessage() for record in caplog.records]
        assert value(warehouse, BACKLOG_STATUS) in lines
        assert {record.levelname for record in caplog.records} == {"INFO"}
        stored = 170 * (day + 1)
        status = progress_of(warehouse)
        assert (status["stored"], status["rate"], status["percent"]) == (
            f"{stored:,}",
            "170",
            str(stored // 10),
        )
        assert status["day"] == "2026-03-06"
        planned = next(line for line in lines if line.startswith(f"{170 * day} of 1,000 settings histories"))
        assert ("complete by about 2026-03-06" in planned) == (day < 5)
        world.now += DAY
    world.run()
    assert world.now.date() == date(2026, 3, 6)
    assert value(warehouse, BACKLOG_STATUS) == (
        "All 1,000 settings histories are stored; each is fetched again every 6 days, 12 at most, at 170 a "
        "day"
    )


def test_an_estimate_follows_the_achieved_rate(world_of: MakeWorld, warehouse: Engine) -> None:
    world = world_of(2000, 200)  # 160 a day for histories, but half of that goes to who changed
    for day in range(8):
        world.change(0, 100)
        world.run()
        assert (
            progress_of(warehouse)["rate"] == "160" if day == 0 else int(progress_of(warehouse)["rate"]) < 130
        )
        world.now += DAY
    assert int(progress_of(warehouse)["rate"]) == 80
    assert int(progress_of(warehouse)["days"]) == -(-(2000 - value(warehouse, FETCHED)) // 80)


def test_no_backlog_is_reported_if_the_daily_quota_suffices(world_of: MakeWorld, warehouse: Engine) -> None:
    world = world_of(100, 200)
    world.run()
    world.now += timedelta(minutes=1)
    assert world.run()["histories_remaining"] == 22  # twice in a day is too much
    assert rows(warehouse, "SELECT backlog_status FROM sync_runs") == [(None,), (None,)]


def test_a_list_that_takes_over_a_fifth_is_made_less_often_and_the_bound_is_kept(
    world_of: MakeWorld, warehouse: Engine
) -> None:
    world = world_of(600, 30)  # 27 are ours, 6 pages: listed every second day, so 24 histories a day
    bound = 50 * (DAY / timedelta(days=1)) * timedelta(days=1)
    promised: date | None = None
    covered: date | None = None
    for _ in range(54):
        world.run()
        promised = promised or date.fromisoformat(progress_of(warehouse)["day"])
        oldest, missing, listed = rows(
            warehouse,
            """SELECT min(history_fetched_at), count(*) - count(history_fetched_at),
                      (SELECT max(started_at) FROM listings) FROM user_sync_state""",
        )[0]
        assert world.now - listed < timedelta(days=2)
        covered = covered or (None if missing else world.now.date())
        if world.now - BEGIN >= bound:
            assert world.now - oldest <= bound
        world.now += DAY
    assert covered is not None
    assert promised is not None
    assert abs(covered - promised) <= timedelta(days=1)
    assert most_calls_in_24_hours(warehouse) == 27
    (warning,) = value(warehouse, "SELECT warnings FROM sync_runs WHERE run_id = 'run 2'")
    assert warning == (
        "Users were not listed: the last listing is of 2026-03-01 00:30 UTC. One takes over a fifth of the "
        "day's 27 calls, so users are listed every 2 days"
    )


def test_a_list_longer_than_a_day_resumes_at_its_cursor(world_of: MakeWorld, warehouse: Engine) -> None:
    world = world_of(3000, 20)  # 30 pages, 18 calls
    with pytest.raises(GongDailyQuotaExceededError):
        world.run()
    world.now += DAY
    world.list_users()
    world.continue_run()
    assert rows(warehouse, "SELECT pages, users FROM listings") == [(30, 3000)]
    assert (value(warehouse, FETCHED), progress_of(warehouse)["stored"]) == (6, "6")
    world.now += DAY
    assert world.run()["histories_fetched"] == 18  # users are not listed again for nine days
    assert most_calls_in_24_hours(warehouse) == 18


def test_a_list_longer_than_a_day_whose_cursor_expires_fails_with_an_explanation(
    world_of: MakeWorld, warehouse: Engine
) -> None:
    world = world_of(3000, 20)
    with pytest.raises(GongDailyQuotaExceededError):
        world.run()
    world.now += DAY
    world.service.faults = Faults(cursor_key="another day")
    before = len(world.service.calls)
    with pytest.raises(AirflowFailException) as failed:
        world.list_users()
    assert str(failed.value).startswith(
        "Gong's list of users has 30 pages; a day's calls suffice for 18. The listing came to page 18 and "
        "waited for calls, but Gong no longer accepts that page's cursor, and a new listing would stop "
    )
    assert len(world.service.calls) - before == 2
    assert value(warehouse, "SELECT count(*) FROM user_sync_state") == 1800


COVERAGE = """
    SELECT day, setting_key, users_on, users_off, users_unknown, joined, deleted, changes, complete
    FROM {} ORDER BY day, setting_key
"""


def test_past_days_cost_one_listing_and_a_history_a_user_whatever_their_order(
    world_of: MakeWorld, warehouse: Engine
) -> None:
    world = world_of(200, 0)
    days = [BEGIN.date() - timedelta(days=back) for back in range(5, 0, -1)]
    changes = [
        {"settingName": "webConferencesRecorded", "newValue": on, "changedAt": f"{day}T08:00:00Z"}
        for day, on in zip(days[1::2], ("false", "true"), strict=True)
    ]
    world.service.histories = {f"{number:04}": changes for number in range(0, 200, 3)}
    for day in days:
        world.run(day=day)
    assert len(world.service.calls) == 2 + 200
    written = rows(warehouse, COVERAGE.format("recording_coverage_daily"))
    assert {day for day, *_, complete in written if complete} >= set(days[1:])  # nothing is known before
    for day in reversed(days):
        world.run(day=day)
    assert len(world.service.calls) == 2 + 200
    assert rows(warehouse, COVERAGE.format("recording_coverage_daily")) == written
    assert rows(warehouse, COVERAGE.format("derived_recording_coverage('-infinity')")) == written
