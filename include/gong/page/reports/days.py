"""Reports and plots of daily counts: recording coverage, settings changes, API calls."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta

from sqlalchemy import Connection

from include.gong.page.db import Row, read_row, read_rows
from include.gong.page.reports.as_of import unknown_before_first_sync
from include.gong.page.table import Column, PageQuery, Plot, Report, Table, today

RECORDED = "is_recorded"
"""Its key in the daily coverage: not a setting of Gong, but derived from three of them."""
MAX_SERIES = 8
_NO_USAGE = (
    "No call is counted in this database: none was made yet, or calls are counted in another database, "
    "that of the connection coordination_conn_id."
)

_SETTINGS = """
    SELECT day, setting_key, users_on, users_off, users_unknown, joined, deleted, changes, complete
    FROM recording_coverage_daily
    WHERE day = (SELECT max(day) FROM recording_coverage_daily WHERE day <= :day)
    ORDER BY setting_key <> :first, setting_key
"""
_COVERAGE = """
    SELECT day, users_on, users_off, users_unknown
    FROM recording_coverage_daily
    WHERE setting_key = :setting_key AND day > :first AND day <= :last
    ORDER BY day
"""
_CHANGES = """
    SELECT day, setting_key, changes
    FROM recording_coverage_daily
    WHERE day > :first AND day <= :last AND setting_key <> :recorded
    ORDER BY day, setting_key
"""
_HAS_USAGE = "SELECT to_regclass('api_usage') IS NOT NULL AS exists"
_CALLS = """
    SELECT (hour AT TIME ZONE 'UTC')::date AS day, endpoint, sum(calls)::bigint AS calls
    FROM api_usage
    WHERE hour >= CAST(:first AS date)::timestamp AT TIME ZONE 'UTC'
      AND hour < (CAST(:last AS date) + 1)::timestamp AT TIME ZONE 'UTC'
    GROUP BY 1, 2
    ORDER BY 1 DESC, 2
"""


def has_usage(connection: Connection) -> bool:
    """Return whether calls are counted in this database."""
    return bool(read_row(_HAS_USAGE, connection)["exists"])


def _settings(connection: Connection, query: PageQuery) -> Table:
    columns = (
        Column("setting_key", "Setting"),
        Column("users_on", "On", "number"),
        Column("users_off", "Off", "number"),
        Column("users_unknown", "Not known", "number"),
        Column("joined", "Joined", "number"),
        Column("deleted", "Deleted", "number"),
        Column("changes", "Changes", "number"),
        Column("complete", "Complete", "yes_no"),
        Column("day", "Day", "day"),
    )
    rows = read_rows(_SETTINGS, connection, day=query.on or today(), first=RECORDED)
    if not rows:
        return Table(columns, rows, unknown=unknown_before_first_sync(connection, query))
    return Table(columns, rows, note=f"At the end of {rows[0]['day']:%-d %B %Y}, UTC.")


def _calls(connection: Connection, query: PageQuery) -> Table:
    columns = (
        Column("day", "Day", "day"),
        Column("endpoint", "Endpoint"),
        Column("calls", "Calls", "number"),
    )
    rows, note = _calls_of(connection, query)
    return Table(columns, rows, note=note)


def _calls_of(connection: Connection, query: PageQuery) -> tuple[list[Row], str]:
    """Return thirty days of calls, and a note where none are counted."""
    if not has_usage(connection):
        return [], _NO_USAGE
    last = query.on or today()
    return read_rows(_CALLS, connection, first=last - timedelta(days=29), last=last), ""


def coverage_plot(connection: Connection, query: PageQuery) -> Plot:
    """Return the recording coverage of a year."""
    last = query.on or today()
    rows = read_rows(_COVERAGE, connection, setting_key=RECORDED, first=last - timedelta(days=365), last=last)
    by_day = {row["day"]: row for row in rows}
    days = _each_day(list(by_day))
    names = {"recorded": "users_on", "not recorded": "users_off", "not known": "users_unknown"}
    series = {name: [by_day[d][key] if d in by_day else None for d in days] for name, key in names.items()}
    about = (
        "Users recorded at the end of each day: active, with recording of web conferences on and not "
        "prevented."
    )
    return Plot("Recording coverage", about, days, series)


def changes_plot(connection: Connection, query: PageQuery) -> Plot:
    """Return settings changes of ninety days: the most changed settings by name, the rest as one series."""
    last = query.on or today()
    rows = read_rows(_CHANGES, connection, first=last - timedelta(days=90), last=last, recorded=RECORDED)
    totals: Counter[str] = Counter()
    for row in rows:
        totals[row["setting_key"]] += row["changes"]
    changed = sorted(+totals, key=lambda key: (-totals[key], key))
    named = changed[:MAX_SERIES]
    by_day: dict[date, Counter[str]] = defaultdict(Counter)
    for row in rows:
        by_day[row["day"]][row["setting_key"] if row["setting_key"] in named else "other"] += row["changes"]
    names = [*named, "other"] if len(changed) > MAX_SERIES else named
    days = _each_day(list(by_day))
    series = {name: [by_day[day][name] if day in by_day else None for day in days] for name in names}
    return Plot("Changes a day", "Settings changes of each finished day, by setting.", days, series)


def calls_plot(connection: Connection, query: PageQuery) -> Plot:
    """Return thirty days of calls by endpoint; a day without calls has 0."""
    rows, note = _calls_of(connection, query)
    about = note or "Calls made to Gong on each UTC day, by endpoint."
    days = _each_day(sorted(row["day"] for row in rows))
    calls = {(row["day"], row["endpoint"]): row["calls"] for row in rows}
    endpoints = sorted({row["endpoint"] for row in rows})
    series = {name: [calls.get((day, name), 0) for day in days] for name in endpoints}
    return Plot("Calls a day", about, days, series, bars=True)


def _each_day(days: list[date]) -> list[date]:
    """Return all days from the first to the last."""
    return [days[0] + timedelta(days=n) for n in range((days[-1] - days[0]).days + 1)] if days else []


SETTINGS = Report(
    "settings",
    "Settings",
    "Users recorded, and users with each setting on and off, at the end of the newest counted day. "
    "Complete: all users were listed and all histories fetched after the end of the day.",
    _settings,
    "No finished day is counted yet.",
)
CALLS = Report("calls", "Calls", "Calls to Gong in thirty days, by day and endpoint.", _calls)
