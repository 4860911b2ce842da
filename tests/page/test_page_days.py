"""The page's daily counts and overview numbers, in the small company."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from include.gong.page.overview import overview
from include.gong.page.table import PageQuery
from include.gong.warehouse.connect import transaction
from tests.page.reports import SIXTH, THIRD, plot_of, report_of, values_of
from tests.warehouse.making import rows, value
from tests.warehouse.small_company import CALLS, PREVENTED, RECORDED, at, run_of

pytestmark = pytest.mark.each_server


def test_settings_of_the_newest_and_of_any_day(company: Engine) -> None:
    keys = ("setting_key", "users_on", "users_off", "users_unknown", "changes", "complete")
    newest = report_of(company, "settings")
    assert "5 March 2026" in newest.note
    assert values_of(newest, *keys)[-1] == (RECORDED, 5, 1, 2, 0, True)
    assert values_of(report_of(company, "settings", on=THIRD), *keys) == [
        ("is_recorded", 6, 3, 1, 3, True), ("active", 8, 1, 1, 0, True), (PREVENTED, 1, 8, 1, 0, True),
        (CALLS, 9, 0, 1, 1, True), (RECORDED, 7, 1, 2, 3, True),
    ]  # fmt: skip
    assert report_of(company, "settings", on=date(2026, 2, 1)).rows == []


def test_calls_by_day_and_endpoint(company: Engine) -> None:
    assert values_of(report_of(company, "calls", on=SIXTH), "day", "endpoint", "calls") == [
        (SIXTH, "list_users", 4), (SIXTH, "settings_history", 8),
        (date(2026, 3, 5), "settings_history", 9), (date(2026, 3, 4), "list_users", 1),
    ]  # fmt: skip
    assert report_of(company, "calls").rows == []  # thirty days only


def test_calls_counted_in_another_database_are_explained(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        connection.exec_driver_sql("DROP VIEW api_usage; DROP TABLE api_calls")
    table = report_of(warehouse, "calls")
    assert (table.rows, "another database" in table.note) == ([], True)
    assert plot_of(warehouse, "calls").days == []
    with transaction(warehouse) as connection:
        assert overview(connection, PageQuery()).calls_today is None


def test_checks_have_failures_first(company: Engine) -> None:
    passed = [row["passed"] for row in report_of(company, "checks").rows]
    assert passed == sorted(passed)
    assert (passed[0], passed[-1]) == (False, True)
    failed = {row["check_name"] for row in report_of(company, "checks").rows if not row["passed"]}
    assert {"managers_exist", "managers_in_order"} <= failed


def test_coverage_plot(company: Engine) -> None:
    plot = plot_of(company, "coverage", on=SIXTH)
    assert plot.days == [date(2026, 2, 26) + timedelta(days=n) for n in range(8)]
    assert plot.series == {
        "recorded": [7, 4, 5, 5, 7, 6, 5, 4], "not recorded": [0, 3, 2, 2, 1, 3, 3, 3],
        "not known": [2, 2, 2, 2, 1, 1, 1, 1],
    }  # fmt: skip
    assert plot_of(company, "coverage", on=THIRD).days[-1] == THIRD


def test_days_that_were_not_counted_are_gaps(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        connection.exec_driver_sql("""
            INSERT INTO recording_coverage_daily
            SELECT day, 'is_recorded', 3, 2, 1, 0, 0, 0, true, now()
            FROM (VALUES (date '2026-03-01'), ('2026-03-04')) AS each (day)
        """)
    plot = plot_of(warehouse, "coverage", on=SIXTH)
    assert plot.series["recorded"] == [3, None, None, 3]


def test_changes_plot(company: Engine) -> None:
    plot = plot_of(company, "changes", on=SIXTH)
    assert plot.series == {
        RECORDED: [0, 2, 3, 0, 1, 3, 0, 0], CALLS: [0, 0, 0, 0, 0, 1, 1, 0],
        "active": [0, 1, 0, 0, 0, 0, 0, 0],
    }  # fmt: skip


def test_settings_that_rarely_change_share_one_line(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        connection.exec_driver_sql("""
            INSERT INTO recording_coverage_daily
            SELECT '2026-03-01', 'setting' || n, 0, 0, 0, 0, 0, n, true, now()
            FROM generate_series(0, 11) AS n
        """)
    series = plot_of(warehouse, "changes", on=SIXTH).series
    assert [*series] == [*(f"setting{n}" for n in range(11, 3, -1)), "other"]
    assert series["other"] == [6]


def test_calls_plot(company: Engine) -> None:
    plot = plot_of(company, "calls", on=SIXTH)
    assert plot.bars
    assert plot.days == [date(2026, 3, 4), date(2026, 3, 5), SIXTH]
    assert plot.series == {"list_users": [1, 0, 4], "settings_history": [0, 9, 8]}


def test_overview_now_and_then(company: Engine) -> None:
    with transaction(company) as connection:
        now = overview(connection, PageQuery())
        sixth = overview(connection, PageQuery(on=SIXTH))
        third = overview(connection, PageQuery(on=THIRD))
    assert (now.users_total, now.users_in_gong, now.users_recorded) == (10, 9, 4)
    assert (now.recorded_on, now.calls_today, now.calls_of_24_hours) == (date(2026, 3, 5), 0, 0)
    changes = rows(company, "SELECT count(*) FROM user_settings_history")
    assert [(now.changes_stored,)] == changes
    assert now.changes_counted_at == at(6, "00:34")
    assert now.last_run is not None
    assert now.last_run["run_id"] == run_of(6).run_id
    assert "managers_exist" in {each["check_name"] for each in now.warnings}
    assert (sixth.calls_today, sixth.calls_of_24_hours) == (12, 12)
    assert now.listed_at == value(company, "SELECT max(started_at) FROM listings")
    assert third.listed_at is not None
    assert third.listed_at.date() == THIRD
    assert (third.users_total, third.users_in_gong, third.users_recorded) == (9, 10, 6)
    assert (third.changes_stored, third.warnings) == (None, [])


_RUNS = """
    INSERT INTO sync_runs (dag_id, run_id, started_at, state, history, scope, histories_since, failures_since,
                           histories_remaining, backlog_status)
    SELECT 'gong_users_sync', scope || at, at, state, 'auto', scope, at, at, left_, backlog_status
    FROM (VALUES (timestamptz '2026-03-02 00:30', 'success', 'everyone', 9, '3% are here'),
                 ('2026-03-03 00:30', 'success', 'everyone', 7, '5% are here'),
                 ('2026-03-03 10:00', 'success', 'selection', 0, NULL),
                 ('2026-03-04 00:30', 'running', 'everyone', NULL, NULL),
                 ('2026-03-06 00:30', 'success', 'everyone', 0, NULL))
         AS run (at, state, scope, left_, backlog_status)
"""


def test_the_backlog_status_is_that_of_the_newest_run_for_everyone(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        connection.exec_driver_sql(_RUNS.replace("%", "%%"))
        days = [date(2026, 3, day) for day in (1, 2, 3, 4, 6)]
        statuses = [overview(connection, PageQuery(on=day)).backlog_status for day in days]
    assert statuses == [None, "3% are here", "5% are here", "5% are here", None]


def test_today_is_the_utc_day(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        connection.execute(text("INSERT INTO api_calls VALUES ('acme', now(), 'list_users', 3)"))
    today = datetime.now(UTC).date()
    assert values_of(report_of(warehouse, "calls"), "day", "calls") in (
        [(today, 3)],
        [(today - timedelta(1), 3)],
    )
