"""The first screen's numbers, from what is cheap to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from include.gong.page.db import Row, read_row, read_rows
from include.gong.page.reports.days import RECORDED, has_usage
from include.gong.page.table import Asked


@dataclass(frozen=True)
class Overview:
    """How things stand, now or at the end of a past day; None: not known.

    :param users_held: users ever seen by then.
    :param users_in_gong: of these, who had not left; on a past day: who is counted in its coverage.
    :param users_recorded: who were recorded, at the end of ``recorded_on``; of ``users_unknown`` more it is
        not known.
    :param changes_held: settings changes held, as counted by the check at ``changes_counted_at``.
    :param last_run: the newest row of sync_runs.
    :param outlook: what the newest run for everyone said of a budget that is too small for them.
    :param listed_at: when the newest full listing started.
    :param checked_at: when checks ran last; None: none had run.
    :param warnings: what the newest checks found: check_name, severity, sentence.
    :param calls_today: calls of the UTC day, up to ``limit_counts_at``.
    :param calls_of_24_hours: calls of the last 24 hours, to the hour.
    """

    users_held: int
    users_in_gong: int | None
    users_recorded: int | None
    users_unknown: int | None
    recorded_on: date | None
    changes_held: int | None
    changes_counted_at: datetime | None
    last_run: Mapping[str, Any] | None
    outlook: str | None
    listed_at: datetime | None
    checked_at: datetime | None
    warnings: Sequence[Mapping[str, Any]]
    calls_today: int | None
    calls_of_24_hours: int | None


_USERS = """
    SELECT count(*) FILTER (WHERE first_seen_at < :moment) AS held,
           count(*) FILTER (WHERE (gone_at > last_seen_at) IS NOT TRUE) AS in_gong
    FROM user_marks
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
    WHERE check_name = 'changes_held' AND checked_at < :moment
    ORDER BY checked_at DESC
    LIMIT 1
"""
_LAST_RUN = "SELECT * FROM sync_runs WHERE started_at < :moment ORDER BY started_at DESC LIMIT 1"
# A run that was cut off before it planned has nothing to say.
_OUTLOOK = """
    SELECT outlook
    FROM sync_runs
    WHERE started_at < :moment AND scope = 'everyone' AND (outlook IS NOT NULL OR histories_left IS NOT NULL)
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


def overview(connection: Connection, asked: Asked) -> Overview:
    """The numbers.

    :raises HTTPException: the warehouse has no tables.
    """
    moment = asked.moment or datetime.now(UTC)
    last_day = (moment - timedelta(microseconds=1)).date()
    users = read_row(_USERS, connection, moment=moment)
    coverage = _first(read_rows(_COVERAGE, connection, setting_key=RECORDED, day=last_day))
    changes = _first(read_rows(_CHANGES, connection, moment=moment))
    calls = _calls(connection, moment, last_day)
    is_of_day = coverage.get("day") == last_day
    return Overview(
        users_held=users["held"],
        users_in_gong=users["in_gong"] if asked.on is None else coverage["users"] if is_of_day else None,
        users_recorded=coverage.get("users_on"),
        users_unknown=coverage.get("users_unknown"),
        recorded_on=coverage.get("day"),
        changes_held=changes.get("changes"),
        changes_counted_at=changes.get("checked_at"),
        last_run=_first(read_rows(_LAST_RUN, connection, moment=moment)) or None,
        outlook=_first(read_rows(_OUTLOOK, connection, moment=moment)).get("outlook"),
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
