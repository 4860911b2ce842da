"""recording_coverage_daily: owed by loads from a day on, rewritten once when a run ends."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Connection, text

# Rows of their own, so that loads at once don't wait for each other.
_OWE = text("""
    INSERT INTO recording_coverage_owed (from_day)
    VALUES ((CAST(:since AS timestamptz) AT TIME ZONE 'UTC')::date)
""")

_LOCK = text("LOCK TABLE recording_coverage_daily IN SHARE ROW EXCLUSIVE MODE")

# A day that was not complete may be now, and days have ended since.
_FIRST_DAY = text("""
    WITH owed AS (DELETE FROM recording_coverage_owed RETURNING from_day)
    SELECT least((SELECT min(from_day) FROM owed),
                 (SELECT min(day) FROM recording_coverage_daily WHERE NOT complete),
                 (SELECT coalesce(max(day) + 1, '-infinity') FROM recording_coverage_daily))::text
""")
_FORGET = text("DELETE FROM recording_coverage_daily WHERE day >= CAST(:first_day AS date)")
_WRITE = text("""
    INSERT INTO recording_coverage_daily
    SELECT *, :at FROM derived_recording_coverage(CAST(:first_day AS date))
""")
_COMPLETE_UNTIL = text("SELECT max(day) FROM recording_coverage_daily WHERE complete")


def owe_coverage(connection: Connection, *since: datetime | None) -> None:
    """Note from when on facts changed, in the transaction that changes them; None: nothing did."""
    instants = [each for each in since if each is not None]
    if instants:
        connection.execute(_OWE, {"since": min(instants)})


def rewrite_coverage(connection: Connection, at: datetime) -> int:
    """Rewrite the daily coverage from the oldest new fact on.

    :param at: written as ``computed_at``.
    :return: how many rows were written.
    """
    connection.execute(_LOCK)
    first_day = {"first_day": connection.scalar(_FIRST_DAY)}
    connection.execute(_FORGET, first_day)
    return connection.execute(_WRITE, first_day | {"at": at}).rowcount


def complete_until(connection: Connection) -> date | None:
    """The newest day about which nothing is missing, None where there is none yet."""
    day: date | None = connection.scalar(_COMPLETE_UNTIL)
    return day
