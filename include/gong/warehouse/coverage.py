"""Keeps recording_coverage_daily: loads invalidate it from a day on, the end of a run rewrites it."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Connection, text

from include.gong.warehouse.runs import RunKey

# The first day that is out of date is noted on a run's row: loads write there anyhow, and concurrent runs do
# not wait for each other. Other changes are noted on the newest run.
_NOTE = text("""
    UPDATE sync_runs
    SET coverage_from = least(coverage_from, (CAST(:since AS timestamptz) AT TIME ZONE 'UTC')::date)
    WHERE (dag_id, run_id) = (
        SELECT dag_id, run_id
        FROM sync_runs
        ORDER BY (dag_id, run_id) = (:dag_id, :run_id) DESC NULLS LAST, started_at DESC
        LIMIT 1)
""")
_NOTES = text("""
    SELECT dag_id, run_id, coverage_from, xmin::text AS version
    FROM sync_runs WHERE coverage_from IS NOT NULL
""")
# A load that was committed meanwhile may have noted the same day again: then the row has another version. The
# note stays on a locked row, too: a load, or the end of a run that waits for this one, is about to change it.
_CLEAR = text("""
    UPDATE sync_runs SET coverage_from = NULL
    WHERE (dag_id, run_id) IN (SELECT dag_id, run_id FROM sync_runs
                               WHERE (dag_id, run_id) = (:dag_id, :run_id) AND xmin::text = :version
                               FOR UPDATE SKIP LOCKED)
""")

_LOCK = text("LOCK TABLE recording_coverage_daily IN SHARE ROW EXCLUSIVE MODE")

# An incomplete day may be complete now, and days have ended since.
_FIRST_DAY = text("""
    SELECT least(CAST(:noted AS date),
                 (SELECT min(day) FROM recording_coverage_daily WHERE NOT complete),
                 (SELECT coalesce(max(day) + 1, '-infinity') FROM recording_coverage_daily))::text
""")
_DELETE = text("DELETE FROM recording_coverage_daily WHERE day >= CAST(:first_day AS date)")
_WRITE = text("""
    INSERT INTO recording_coverage_daily
    SELECT *, :at FROM derived_recording_coverage(CAST(:first_day AS date))
""")
_COMPLETE_UNTIL = text("SELECT max(day) FROM recording_coverage_daily WHERE complete")


def invalidate_coverage(connection: Connection, *since: datetime | None, run: RunKey | None = None) -> None:
    """Note that the coverage is out of date from the earliest of some instants on; None is skipped.

    For changes outside of loads, which note it with their numbers (``runs.add_to_run``). After rows of users,
    as in loads: it locks the run's row.

    :param run: the run that changed it; None: none did, and no load is under way.
    """
    instants = [each for each in since if each is not None]
    if instants:
        key = run or RunKey("", "")
        connection.execute(_NOTE, key._asdict() | {"since": min(instants)})


def rewrite_coverage(connection: Connection, at: datetime) -> int:
    """Rewrite the daily coverage from the first day on that is out of date.

    :param at: written as ``computed_at``.
    :return: the number of rows written.
    """
    connection.execute(_LOCK)
    notes = connection.execute(_NOTES).mappings().all()
    noted = min((note["coverage_from"] for note in notes), default=None)
    first_day = {"first_day": connection.scalar(_FIRST_DAY, {"noted": noted})}
    connection.execute(_DELETE, first_day)
    written = connection.execute(_WRITE, first_day | {"at": at}).rowcount
    for note in notes:  # at the end, as loads wait for these rows
        connection.execute(_CLEAR, dict(note))
    return written


def complete_until(connection: Connection) -> date | None:
    """Return the newest complete day, if any."""
    day: date | None = connection.scalar(_COMPLETE_UNTIL)
    return day
