"""Keeps recording_coverage_daily: loads invalidate it from a day on, the end of a run rewrites it."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Connection, text

# A row per load, so that concurrent loads don't wait for each other.
_INVALIDATE = text("""
    INSERT INTO coverage_invalidations (from_day)
    VALUES ((CAST(:since AS timestamptz) AT TIME ZONE 'UTC')::date)
""")

_LOCK = text("LOCK TABLE recording_coverage_daily IN SHARE ROW EXCLUSIVE MODE")

# An incomplete day may be complete now, and days have ended since.
_FIRST_DAY = text("""
    WITH invalid AS (DELETE FROM coverage_invalidations RETURNING from_day)
    SELECT least((SELECT min(from_day) FROM invalid),
                 (SELECT min(day) FROM recording_coverage_daily WHERE NOT complete),
                 (SELECT coalesce(max(day) + 1, '-infinity') FROM recording_coverage_daily))::text
""")
_DELETE = text("DELETE FROM recording_coverage_daily WHERE day >= CAST(:first_day AS date)")
_WRITE = text("""
    INSERT INTO recording_coverage_daily
    SELECT *, :at FROM derived_recording_coverage(CAST(:first_day AS date))
""")
_COMPLETE_UNTIL = text("SELECT max(day) FROM recording_coverage_daily WHERE complete")


def invalidate_coverage(connection: Connection, *since: datetime | None) -> None:
    """Invalidate the coverage from the earliest of some instants on; None is skipped."""
    instants = [each for each in since if each is not None]
    if instants:
        connection.execute(_INVALIDATE, {"since": min(instants)})


def rewrite_coverage(connection: Connection, at: datetime) -> int:
    """Rewrite the daily coverage from the first invalid day on.

    :param at: written as ``computed_at``.
    :return: the number of rows written.
    """
    connection.execute(_LOCK)
    first_day = {"first_day": connection.scalar(_FIRST_DAY)}
    connection.execute(_DELETE, first_day)
    return connection.execute(_WRITE, first_day | {"at": at}).rowcount


def complete_until(connection: Connection) -> date | None:
    """Return the newest complete day, if any."""
    day: date | None = connection.scalar(_COMPLETE_UNTIL)
    return day
