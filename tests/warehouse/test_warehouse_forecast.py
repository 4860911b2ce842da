"""What a backfill would call, said beforehand without a trace."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import Engine

from include.gong.warehouse.backlog import headway
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.estimate import Forecast, forecast
from include.gong.warehouse.migrate import is_current
from tests.warehouse.making import HOUR, NOON, failure, history, listed, load_group, load_page, rows, value

YESTERDAY = date(2026, 3, 9)
DAY = timedelta(days=1)


def owed(engine: Engine, day: date = YESTERDAY, at: datetime = NOON + HOUR) -> Forecast | None:
    with transaction(engine) as connection:
        return forecast(connection, day, at)


def test_where_nobody_was_listed_nothing_is_known(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])  # a refresh of one user is no listing
    assert owed(warehouse) is None


def test_histories_that_do_not_cover_the_last_day_are_owed(warehouse: Engine) -> None:
    listed(warehouse, [{"id": user_id} for user_id in "123"])
    load_group(warehouse, history("1"), history("2", at=NOON - 2 * DAY))
    assert owed(warehouse) == Forecast(pages=0, histories=2)
    assert owed(warehouse, YESTERDAY - 2 * DAY) == Forecast(pages=0, histories=1)
    load_group(warehouse, history("2"), history("3"))
    assert owed(warehouse) == Forecast(pages=0, histories=0)


def test_a_listing_that_does_not_cover_the_last_day_is_owed_with_as_many_pages(warehouse: Engine) -> None:
    listed(warehouse, [{"id": "1"}], NOON - DAY, pages=7)
    assert owed(warehouse) == Forecast(pages=7, histories=1)


def test_who_failed_today_or_is_listed_no_more_is_not_asked(warehouse: Engine) -> None:
    listed(warehouse, [{"id": "1"}, {"id": "2"}], NOON - DAY)
    listed(warehouse, [{"id": "2"}, {"id": "3"}])
    load_group(warehouse, failure("2"))
    assert owed(warehouse) == Forecast(pages=0, histories=1)
    assert owed(warehouse, at=NOON + DAY) == Forecast(pages=0, histories=2)


def test_a_history_that_failed_is_neither_here_nor_missing(warehouse: Engine) -> None:
    listed(warehouse, [{"id": user_id} for user_id in "12345"])
    load_group(warehouse, history("1"), history("2"), failure("3"), failure("4", gone=True))
    load_group(warehouse, failure("2", at=NOON + HOUR))
    with transaction(warehouse) as connection:
        held = headway(connection, NOON + HOUR)
    assert (held.users, held.missing) == (3, 1)


def test_it_leaves_no_trace(warehouse: Engine) -> None:
    listed(warehouse, [{"id": "1"}])
    before = rows(warehouse, "SELECT * FROM sync_runs")
    owed(warehouse)
    assert rows(warehouse, "SELECT * FROM sync_runs") == before
    assert value(warehouse, "SELECT count(*) FROM history_plan") == 0


def test_a_warehouse_without_tables_or_with_old_ones_is_told_apart(
    warehouse: Engine, database_url: str
) -> None:
    assert is_current(warehouse) is True
    assert is_current(engine_for(database_url)) is None
    with transaction(warehouse) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    assert is_current(warehouse) is False
