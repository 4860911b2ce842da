"""Many days of a budget that does not suffice for everyone daily, on one injected clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from gong_provider.api.errors import GongDayUsedUpError
from tests.coordination.days import BEGIN, DAY, World, most_calls_in_24_hours
from tests.warehouse.making import rows, value

USERS, DAILY, RESERVE = 1000, 400, 40
# What semantics.md promises: 2N / B' days, B' being what is left for histories.
BOUND = timedelta(days=-(-2 * USERS // (DAILY - RESERVE - USERS // 100)))


@pytest.fixture
def world(world_of: Callable[[int, int], World]) -> World:
    return world_of(USERS, DAILY)


@pytest.mark.parametrize("changing", [50, 400])
def test_everyone_is_covered_within_the_bound_and_no_day_exceeds_the_limit(
    world: World, warehouse: Engine, changing: int
) -> None:
    for day in range(10):
        world.change(changing * day, changing)
        done = world.run()
        assert done["histories_left"] == value(
            warehouse, "SELECT count(*) FROM user_marks WHERE history_fetched_at IS DISTINCT FROM :at",
            at=world.now,
        )  # fmt: skip
        if changing == 50 and day:
            # Whoever changed is asked the same day, as long as half the budget suffices.
            assert (
                value(warehouse, "SELECT count(*) FROM user_marks WHERE history_due_since IS NOT NULL") == 0
            )
        if world.now - BEGIN >= BOUND:
            oldest = value(warehouse, "SELECT min(coalesce(history_fetched_at, '-infinity')) FROM user_marks")
            assert world.now - oldest <= BOUND * (DAY / timedelta(days=1))
        if day % 3 == 1:  # someone runs it by hand, too: it waits, for nothing is left to ask with
            world.now += timedelta(hours=9)
            with pytest.raises(GongDayUsedUpError, match=r"the next is free in 15\.0 hours"):
                world.run()
            world.now -= timedelta(hours=9)
        world.now += DAY
    assert DAILY - RESERVE - 10 <= most_calls_in_24_hours(warehouse) <= DAILY - RESERVE


def test_a_run_says_what_it_left_and_by_when_it_is_covered(world: World, warehouse: Engine) -> None:
    assert world.run()["histories_left"] == 650
    assert value(warehouse, "SELECT calls_left FROM sync_runs") == 0
    promised = value(warehouse, "SELECT left_covered_by FROM sync_runs")
    while value(warehouse, "SELECT count(*) FROM user_marks WHERE history_fetched_at IS NULL"):
        world.now += DAY
        world.run()
    assert world.now.date() <= promised


def test_each_mode_of_history_plans_what_it_says(world: World, warehouse: Engine) -> None:
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
    assert value(warehouse, "SELECT histories_left FROM sync_runs WHERE run_id = 'run 4'") == 650
