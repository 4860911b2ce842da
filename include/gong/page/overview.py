"""The numbers of the overview, from sources that are cheap to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from include.gong.page.db import Row, read_row, read_rows
from include.gong.page.reports.days import RECORDED, has_usage
from include.gong.page.table import PageQuery


@dataclass(frozen=True)
class Overview:
    """The numbers, now or at the end of a past day; None: not known.

    :param users_total: users seen by then, deleted ones included.
    :param users_in_gong: those not deleted; on a past day: those counted in its coverage.
    :param users_recorded: users recorded at the end of ``recorded_on``; for ``users_unknown`` others it is
        not known.
    :param changes_stored: settings changes, as counted by the check at ``changes_counted_at``.
    :param last_run: the newest row of sync_runs.
    :param backlog_status: the backlog as the newest run for all users described it.
    :param listed_at: start of the newest full listing.
    :param checked_at: time of the newest checks; None: none had run.
    :param warnings: failed checks of the newest ones: check_name, severity, sentence.
    :param calls_today: calls of the UTC day.
    :param calls_of_24_hours: calls of the last 24 hours, to the hour.
    """

    users_total: int
    users_in_gong: int | None
    users_recorded: int | None
    users_unknown: int | None
    recorded_on: date | None
    changes_stored: int | None
    changes_counted_at: datetime | None
    last_run: Mapping[str, Any] | None
    backlog_status: str | None
    listed_at: datetime | None
    checked_at: datetime | None
    warnings: Sequence[Mapping[str, Any]]
    calls_today: int | None
    calls_of_24_hours: int | None


_USERS = """
    SELECT count(*) FILTER (WHERE first_seen_at < :moment) AS total,
           count(*) FILTER (WHERE deleted_at IS NULL) AS in_gong
    FROM user_sync_state
"""
_COVERAGE = """
    SELECT day, users_on + users_off + users_unknown AS users, users_unknown,
           CASE WHEN users_on + users_off > 0 OR users_unknown = 0 THEN users_on END AS users_on
    FROM recording_coverage_daily
    WHERE setting_key = :setting_key AND day <= :day
    ORDER BY day DESC
    LIMIT 1
"""
_CHANGES = """
    SELECT found::bigint AS changes, checked_at
    FROM check_results
    WHERE check_name = 'changes_stored' AND checked_at < :moment
    ORDER BY checked_at DESC
    LIMIT 1
"""
_LAST_RUN = "SELECT * FROM sync_runs WHERE started_at < :moment ORDER BY started_at DESC LIMIT 1"
# A run that was interrupted before it planned histories has no status.
_BACKLOG_STATUS = """
    SELECT backlog_status
    FROM sync_runs
    WHERE started_at < :moment AND scope = 'everyone'
      AND (backlog_status IS NOT NULL OR histories_remaining IS NOT NULL)
    ORDER BY started_at DESC
    LIMIT 1
"""
_LISTED = "SELECT max(started_at) AS at FROM listings WHERE started_at < :moment"
_CHECKED = "SELECT max(checked_at) AS at FROM check_results WHERE checked_at < :moment"
_WARNINGS = """
    SELECT check_name, severity, sentence
    FROM check_results
    WHERE (dag_id, run_id) = (SELECT dag_id, run_id FROM check_results WHERE checked_at < :moment
                              ORDER BY checked_at DESC LIMIT 1)
      AND NOT passed
    ORDER BY severity, check_name
"""
_CALLS = """
    SELECT coalesce(sum(calls) FILTER (WHERE hour >= :midnight), 0)::bigint AS today,
           coalesce(sum(calls) FILTER (WHERE hour >= CAST(:moment AS timestamptz) - interval '24 hours'),
                    0)::bigint AS of_24_hours
    FROM api_usage
    WHERE hour >= CAST(:moment AS timestamptz) - interval '25 hours' AND hour < :moment
"""


def overview(connection: Connection, query: PageQuery) -> Overview:
    """Return the numbers.

    :raises HTTPException: the warehouse has no tables.
    """
    moment = query.moment or datetime.now(UTC)
    last_day = (moment - timedelta(microseconds=1)).date()
    users = read_row(_USERS, connection, moment=moment)
    coverage = _first(read_rows(_COVERAGE, connection, setting_key=RECORDED, day=last_day))
    changes = _first(read_rows(_CHANGES, connection, moment=moment))
    calls = _calls(connection, moment, last_day)
    is_of_day = coverage.get("day") == last_day
    return Overview(
        users_total=users["total"],
        users_in_gong=users["in_gong"] if query.on is None else coverage["users"] if is_of_day else None,
        users_recorded=coverage.get("users_on"),
        users_unknown=coverage.get("users_unknown"),
        recorded_on=coverage.get("day"),
        changes_stored=changes.get("changes"),
        changes_counted_at=changes.get("checked_at"),
        last_run=_first(read_rows(_LAST_RUN, connection, moment=moment)) or None,
        backlog_status=_first(read_rows(_BACKLOG_STATUS, connection, moment=moment)).get("backlog_status"),
        listed_at=read_row(_LISTED, connection, moment=moment)["at"],
        checked_at=read_row(_CHECKED, connection, moment=moment)["at"],
        warnings=read_rows(_WARNINGS, connection, moment=moment),
        calls_today=calls.get("today"),
        calls_of_24_hours=calls.get("of_24_hours"),
    )


def _calls(connection: Connection, moment: datetime, day: date) -> Row:
    if not has_usage(connection):
        return {}
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return read_row(_CALLS, connection, moment=moment, midnight=midnight)


def _first(rows: list[Row]) -> Row:
    return rows[0] if rows else {}
