"""What is counted by day: recording coverage, changes of each setting, calls; as tables and plots."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta

from sqlalchemy import Connection

from include.gong.page.db import Row, read_row, read_rows
from include.gong.page.table import Asked, Column, Plot, Question, Table, today

RECORDED = "is_recorded"
"""What the daily coverage calls it: no setting of Gong, but what three of them come to."""
MOST = 8
_NO_USAGE = (
    "No call is counted in this database: none was made yet, or they are counted in another database, "
    "that of the connection coordination_conn_id."
)

_SETTINGS = """
    SELECT day, setting_key, users_on, users_off, users_unknown, joined, left_gong, changes, complete
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
_HAS_USAGE = "SELECT to_regclass('api_usage') IS NOT NULL AS is_there"
_CALLS = """
    SELECT (hour AT TIME ZONE 'UTC')::date AS day, endpoint, sum(calls)::bigint AS calls
    FROM api_usage
    WHERE hour >= CAST(:first AS date)::timestamp AT TIME ZONE 'UTC'
      AND hour < (CAST(:last AS date) + 1)::timestamp AT TIME ZONE 'UTC'
    GROUP BY 1, 2
    ORDER BY 1 DESC, 2
"""


def has_usage(connection: Connection) -> bool:
    """Whether calls are counted in this database."""
    return bool(read_row(_HAS_USAGE, connection)["is_there"])


def _settings(connection: Connection, asked: Asked) -> Table:
    columns = (
        Column("setting_key", "Setting"),
        Column("users_on", "On", "number"),
        Column("users_off", "Off", "number"),
        Column("users_unknown", "Not known", "number"),
        Column("joined", "Joined", "number"),
        Column("left_gong", "Left", "number"),
        Column("changes", "Changes", "number"),
        Column("complete", "Complete", "yes_no"),
        Column("day", "Day", "day"),
    )
    rows = read_rows(_SETTINGS, connection, day=asked.on or today(), first=RECORDED)
    note = f"At the end of {rows[0]['day']:%-d %B %Y}, UTC." if rows else "No day is over and counted yet."
    return Table(columns, rows, note=note)


def _calls(connection: Connection, asked: Asked) -> Table:
    columns = (
        Column("day", "Day", "day"),
        Column("endpoint", "Endpoint"),
        Column("calls", "Calls", "number"),
    )
    rows, note = _calls_of(connection, asked)
    return Table(columns, rows, note=note)


def _calls_of(connection: Connection, asked: Asked) -> tuple[list[Row], str]:
    """Thirty days of calls, and a note where none are counted."""
    if not has_usage(connection):
        return [], _NO_USAGE
    last = asked.on or today()
    return read_rows(_CALLS, connection, first=last - timedelta(days=29), last=last), ""


def coverage_plot(connection: Connection, asked: Asked) -> Plot:
    """A year of how many were recorded."""
    last = asked.on or today()
    rows = read_rows(_COVERAGE, connection, setting_key=RECORDED, first=last - timedelta(days=365), last=last)
    held = {row["day"]: row for row in rows}
    days = _each_day(list(held))
    names = {"recorded": "users_on", "not recorded": "users_off", "not known": "users_unknown"}
    series = {name: [held[day][key] if day in held else None for day in days] for name, key in names.items()}
    about = (
        "Users who were recorded at the end of each day: active, with web conferences recorded and that not "
        "prevented."
    )
    return Plot("Recording coverage", about, days, series)


def changes_plot(connection: Connection, asked: Asked) -> Plot:
    """Ninety days of settings changes: the settings changed most by name, the rest together."""
    last = asked.on or today()
    rows = read_rows(_CHANGES, connection, first=last - timedelta(days=90), last=last, recorded=RECORDED)
    totals: Counter[str] = Counter()
    for row in rows:
        totals[row["setting_key"]] += row["changes"]
    changed = sorted(+totals, key=lambda key: (-totals[key], key))
    named = changed[:MOST]
    held: dict[date, Counter[str]] = defaultdict(Counter)
    for row in rows:
        held[row["day"]][row["setting_key"] if row["setting_key"] in named else "other"] += row["changes"]
    names = [*named, "other"] if len(changed) > MOST else named
    days = _each_day(list(held))
    series = {name: [held[day][name] if day in held else None for day in days] for name in names}
    return Plot("Changes a day", "Changes of settings on each day that is over, by setting.", days, series)


def calls_plot(connection: Connection, asked: Asked) -> Plot:
    """Thirty days of calls by endpoint; a day without any has none."""
    rows, note = _calls_of(connection, asked)
    about = note or "Calls made to Gong on each UTC day, by endpoint."
    days = _each_day(sorted(row["day"] for row in rows))
    held = {(row["day"], row["endpoint"]): row["calls"] for row in rows}
    endpoints = sorted({row["endpoint"] for row in rows})
    series = {name: [held.get((day, name), 0) for day in days] for name in endpoints}
    return Plot("Calls a day", about, days, series, bars=True)


def _each_day(days: list[date]) -> list[date]:
    """All days from the first to the last."""
    return [days[0] + timedelta(days=n) for n in range((days[-1] - days[0]).days + 1)] if days else []


SETTINGS = Question(
    "settings",
    "Settings",
    "How many users were recorded, and had each switch on and off, at the end of the newest counted day. "
    "Complete: everyone was listed, and every history fetched, after the day's end.",
    _settings,
)
CALLS = Question("calls", "Calls", "Calls made to Gong in thirty days, by day and endpoint.", _calls)
