"""Accounts larger than their budget of calls: what each day says, and lists that take more than a day."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import Engine

from gong_provider.api.errors import GongDayUsedUpError
from tests.coordination.days import BEGIN, DAY, World, most_calls_in_24_hours
from tests.support import Faults
from tests.warehouse.making import rows, value

MakeWorld = Callable[[int, int], World]
FETCHED = "SELECT count(*) FROM user_marks WHERE history_fetched_at IS NOT NULL"
OUTLOOK = "SELECT outlook FROM sync_runs ORDER BY started_at DESC LIMIT 1"
AHEAD = re.compile(
    r"(?P<here>[\d,]+) of [\d,]+ settings histories are here \((?P<percent>\d+)%\): "
    r"covered by about (?P<day>[\d-]+), (?P<days>\d+) days? at (?P<rate>[\d,]+) a day\. It goes on"
)


def ahead(engine: Engine) -> dict[str, str]:
    found = AHEAD.match(value(engine, OUTLOOK))
    assert found, value(engine, OUTLOOK)
    return found.groupdict()


def test_each_day_says_how_far_it_is_and_by_when_everyone_is_covered(
    world_of: MakeWorld, warehouse: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    world = world_of(1000, 200)  # 180 are ours, 10 pages: 170 a day
    caplog.set_level(logging.INFO, logger="include")
    for day in range(5):
        caplog.clear()
        world.run()
        lines = [record.getMessage() for record in caplog.records]
        assert lines[-1] == value(warehouse, OUTLOOK)
        assert {record.levelname for record in caplog.records} == {"INFO"}
        here = 170 * (day + 1)
        told = ahead(warehouse)
        assert (told["here"], told["rate"], told["percent"]) == (f"{here:,}", "170", str(here // 10))
        assert told["day"] == "2026-03-06"
        planned = next(line for line in lines if line.startswith(f"{170 * day} of 1,000 settings histories"))
        assert ("covered by about 2026-03-06" in planned) == (day < 5)
        world.now += DAY
    world.run()
    assert world.now.date() == date(2026, 3, 6)
    assert value(warehouse, OUTLOOK) == (
        "All 1,000 settings histories are here; each is fetched anew every 6 days, 12 at most, at 170 a day"
    )


def test_an_estimate_follows_what_was_achieved(world_of: MakeWorld, warehouse: Engine) -> None:
    world = world_of(2000, 200)  # 160 a day for histories, but half of that goes to who changed
    for day in range(8):
        world.change(0, 100)
        world.run()
        assert ahead(warehouse)["rate"] == "160" if day == 0 else int(ahead(warehouse)["rate"]) < 130
        world.now += DAY
    assert int(ahead(warehouse)["rate"]) == 80
    assert int(ahead(warehouse)["days"]) == -(-(2000 - value(warehouse, FETCHED)) // 80)


def test_where_the_day_suffices_nothing_is_said(world_of: MakeWorld, warehouse: Engine) -> None:
    world = world_of(100, 200)
    world.run()
    world.now += timedelta(minutes=1)
    assert world.run()["histories_left"] == 22  # twice in a day is too much
    assert rows(warehouse, "SELECT outlook FROM sync_runs") == [(None,), (None,)]


def test_a_list_that_takes_over_a_fifth_is_made_less_often_and_the_bound_holds(
    world_of: MakeWorld, warehouse: Engine
) -> None:
    world = world_of(600, 30)  # 27 are ours, 6 pages: listed every second day, so 24 histories a day
    bound = 50 * (DAY / timedelta(days=1)) * timedelta(days=1)
    promised: date | None = None
    covered: date | None = None
    for _ in range(54):
        world.run()
        promised = promised or date.fromisoformat(ahead(warehouse)["day"])
        oldest, missing, listed = rows(
            warehouse,
            """SELECT min(history_fetched_at), count(*) - count(history_fetched_at),
                      (SELECT max(started_at) FROM listings) FROM user_marks""",
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
        "Users were not listed: the list is of 2026-03-01 00:30 UTC. It takes over a fifth of the day's 27 "
        "calls, so it is made every 2 days"
    )


def test_a_list_longer_than_a_day_goes_on_at_its_cursor(world_of: MakeWorld, warehouse: Engine) -> None:
    world = world_of(3000, 20)  # 30 pages, 18 calls
    with pytest.raises(GongDayUsedUpError):
        world.run()
    world.now += DAY
    world.list_users()
    world.go_on()
    assert rows(warehouse, "SELECT pages, users FROM listings") == [(30, 3000)]
    assert (value(warehouse, FETCHED), ahead(warehouse)["here"]) == (6, "6")
    world.now += DAY
    assert world.run()["histories_fetched"] == 18  # users are not listed again for nine days
    assert most_calls_in_24_hours(warehouse) == 18


def test_a_list_longer_than_a_day_whose_cursor_expires_fails_with_words(
    world_of: MakeWorld, warehouse: Engine
) -> None:
    world = world_of(3000, 20)
    with pytest.raises(GongDayUsedUpError):
        world.run()
    world.now += DAY
    world.service.faults = Faults(cursor_key="another day")
    before = len(world.service.calls)
    with pytest.raises(AirflowFailException) as failed:
        world.list_users()
    assert str(failed.value).startswith(
        "Gong's list of users has 30 pages, of which a day's calls suffice for 18. It had come to page 18 "
        "and waited for more calls; now Gong refuses to go on there, and begun anew it would stop there "
    )
    assert len(world.service.calls) - before == 2
    assert value(warehouse, "SELECT count(*) FROM user_marks") == 1800
