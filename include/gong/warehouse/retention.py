"""Removes users with all their data, and data older than the retention that is set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from include.gong.warehouse.coverage import invalidate_coverage
from include.gong.warehouse.erasures import block_erasures
from include.gong.warehouse.periods import LOCK_USERS
from include.gong.warehouse.runs import RunKey

_SINCE = text("""
    SELECT min(since)
    FROM (
        SELECT least(created, first_seen_at) AS since
        FROM user_sync_state
        LEFT JOIN (SELECT user_id, created FROM user_versions WHERE is_current) AS version USING (user_id)
        WHERE user_id = ANY (CAST(:ids AS text[]))
        UNION ALL
        SELECT min(valid_from) FROM setting_periods WHERE user_id = ANY (CAST(:ids AS text[]))
        UNION ALL
        SELECT min(changed_at) FROM user_settings_history WHERE user_id = ANY (CAST(:ids AS text[]))
    ) AS counted
""")

TABLES_OF_USERS = (
    "user_sync_state", "user_versions", "user_settings_history", "setting_timelines", "finding_periods",
    "history_plan", "history_claims",
)  # fmt: skip

# Locked, so that no user is removed who is seen again at this moment.
_DELETED = text("""
    SELECT user_id FROM user_sync_state
    WHERE deleted_at < :before
    ORDER BY user_id
    FOR UPDATE
""")

# The last version of each user stays as long as the user: it has their last profile, and their deletion.
# Versions that the history does not cover stay until it does: they show since when a setting differs from it.
_REMOVE_VERSIONS = text("""
    WITH removed AS (
        DELETE FROM user_versions AS old
        WHERE valid_to < :before
          AND NOT EXISTS (SELECT FROM user_sync_state AS state
                          WHERE state.user_id = old.user_id AND history_covers_until < old.valid_to)
          AND EXISTS (SELECT FROM user_versions AS later
                      WHERE later.user_id = old.user_id AND later.valid_from > old.valid_from)
        RETURNING valid_from
    )
    SELECT count(*), min(valid_from) FROM removed
""")
_REMOVE_FINDINGS = text("DELETE FROM finding_periods WHERE resolved_at < :before")

# A listing stays until there is a newer one of its kind, with its run: checks compare with it.
_REMOVE_OLD = {
    "runs": text("""
        DELETE FROM sync_runs
        WHERE started_at < :before AND state <> 'running' AND coverage_from IS NULL
          AND (dag_id, run_id) NOT IN (SELECT dag_id, run_id FROM listings)
    """),
    "check results": text("DELETE FROM check_results WHERE checked_at < :before"),
    "rejected records": text("DELETE FROM rejected_records WHERE last_seen_at < :before"),
    "API calls": text("DELETE FROM api_calls WHERE minute < :before"),
}
_REMOVE_LISTINGS = text("""
    DELETE FROM listings
    WHERE started_at < :before
      AND started_at < (SELECT max(started_at) FROM listings AS newer
                        WHERE newer.with_avatars = listings.with_avatars)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long to keep outdated data; None: for good.

    :ivar versions: versions of users, from their end on, and findings, from when they were resolved on.
    :ivar deleted_users: all data of users deleted in Gong, from then on.
    :ivar runs: runs, their listings and results of their checks.
    :ivar rejected_records: from when they were last returned on.
    :ivar api_calls: numbers of calls by minute.
    """

    versions: timedelta | None = None
    deleted_users: timedelta | None = None
    runs: timedelta | None = timedelta(days=730)
    rejected_records: timedelta | None = timedelta(days=180)
    api_calls: timedelta | None = timedelta(days=730)


def remove_users(
    connection: Connection, user_ids: Sequence[str], run: RunKey | None = None
) -> dict[str, int]:
    """Delete all rows of users, and invalidate the coverage of the days on which they counted.

    :param run: the run that does so, if one does.
    :return: the number of deleted rows by table.
    """
    ids = {"ids": list(user_ids)}
    connection.execute(LOCK_USERS, ids)  # first, as loads do
    since: datetime | None = connection.scalar(_SINCE, ids)
    counts = {}
    for table in TABLES_OF_USERS:
        remove = text(f"DELETE FROM {table} WHERE user_id = ANY (CAST(:ids AS text[]))")  # noqa: S608
        counts[table] = connection.execute(remove, ids).rowcount
    invalidate_coverage(connection, since, run=run)
    return counts


def remove_outdated(
    connection: Connection, retention: Retention, now: datetime, run: RunKey | None = None
) -> dict[str, int]:
    """Remove data older than its retention, and invalidate the coverage of the days that it counted for.

    :param run: the run that does so.
    :return: the number of removed rows, by name; no zeros.
    """
    block_erasures(connection)
    removed = {}
    if retention.deleted_users is not None:
        users = list(connection.scalars(_DELETED, {"before": now - retention.deleted_users}))
        if users:
            remove_users(connection, users, run)
        removed["deleted users"] = len(users)
    if retention.versions is not None:
        old = {"before": now - retention.versions}
        removed["versions"], since = connection.execute(_REMOVE_VERSIONS, old).one()
        invalidate_coverage(connection, since, run=run)
        removed["resolved findings"] = connection.execute(_REMOVE_FINDINGS, old).rowcount
    if retention.runs is not None:
        connection.execute(_REMOVE_LISTINGS, {"before": now - retention.runs})
    kept = {
        "runs": retention.runs,
        "check results": retention.runs,
        "rejected records": retention.rejected_records,
        "API calls": retention.api_calls,
    }
    for name, time in kept.items():
        if time is not None:
            removed[name] = connection.execute(_REMOVE_OLD[name], {"before": now - time}).rowcount
    return {name: number for name, number in removed.items() if number}
