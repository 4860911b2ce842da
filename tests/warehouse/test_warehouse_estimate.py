"""Estimating the calls of a backfill, without a trace."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import Engine

from include.gong.warehouse.backfill_estimate import Estimate, estimate_calls
from include.gong.warehouse.backlog import read_backlog
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.migrate import is_current
from tests.warehouse.making import HOUR, NOON, failure, history, listed, load_group, load_page, rows, value

YESTERDAY = date(2026, 3, 9)
DAY = timedelta(days=1)


def estimate(engine: Engine, day: date = YESTERDAY, at: datetime = NOON + HOUR) -> Estimate | None:
    with transaction(engine) as connection:
        return estimate_calls(connection, day, at)


def test_without_a_listing_there_is_no_estimate(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])  # a refresh of one user is no listing
    assert estimate(warehouse) is None


def test_histories_that_do_not_cover_the_last_day_are_pending(warehouse: Engine) -> None:
    listed(warehouse, [{"id": user_id} for user_id in "123"])
    load_group(warehouse, history("1"), history("2", at=NOON - 2 * DAY))
    assert estimate(warehouse) == Estimate(pages=0, histories=2)
    assert estimate(warehouse, YESTERDAY - 2 * DAY) == Estimate(pages=0, histories=1)
    load_group(warehouse, history("2"), history("3"))
    assert estimate(warehouse) == Estimate(pages=0, histories=0)


def test_a_listing_that_does_not_cover_the_last_day_is_estimated_with_as_many_pages(
    warehouse: Engine,
) -> None:
    listed(warehouse, [{"id": "1"}], NOON - DAY, pages=7)
    assert estimate(warehouse) == Estimate(pages=7, histories=1)


def test_users_that_failed_today_or_are_not_listed_cost_no_call(warehouse: Engine) -> None:
    listed(warehouse, [{"id": "1"}, {"id": "2"}], NOON - DAY)
    listed(warehouse, [{"id": "2"}, {"id": "3"}])
    load_group(warehouse, failure("2"))
    assert estimate(warehouse) == Estimate(pages=0, histories=1)
    assert estimate(warehouse, at=NOON + DAY) == Estimate(pages=0, histories=2)


def test_a_failed_history_is_neither_stored_nor_missing(warehouse: Engine) -> None:
    listed(warehouse, [{"id": user_id} for user_id in "12345"])
    load_group(warehouse, history("1"), history("2"), failure("3"), failure("4", not_found=True))
    load_group(warehouse, failure("2", at=NOON + HOUR))
    with transaction(warehouse) as connection:
        backlog = read_backlog(connection, NOON + HOUR)
    assert (backlog.users, backlog.missing) == (3, 1)


def test_it_leaves_no_trace(warehouse: Engine) -> None:
    listed(warehouse, [{"id": "1"}])
    before = rows(warehouse, "SELECT * FROM sync_runs")
    estimate(warehouse)
    assert rows(warehouse, "SELECT * FROM sync_runs") == before
    assert value(warehouse, "SELECT count(*) FROM history_plan") == 0


def test_a_warehouse_without_tables_differs(warehouse: Engine, database_url: str) -> None:
    assert is_current(warehouse) is True
    assert is_current(engine_for(database_url)) is None
