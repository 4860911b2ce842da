"""Removes users with everything that is held of them, and what was kept long enough, where that is set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from include.gong.warehouse.coverage import owe_coverage
from include.gong.warehouse.erasures import hold_off_forgetting
from include.gong.warehouse.periods import LOCK_MARKS

_SINCE = text("""
    SELECT min(since)
    FROM (
        SELECT least(created, first_seen_at) AS since
        FROM user_marks LEFT JOIN user_facts USING (user_id)
        WHERE user_id = ANY (CAST(:ids AS text[]))
        UNION ALL
        SELECT min(valid_from) FROM setting_periods WHERE user_id = ANY (CAST(:ids AS text[]))
        UNION ALL
        SELECT min(changed_at) FROM user_settings_history WHERE user_id = ANY (CAST(:ids AS text[]))
    ) AS counted
""")

TABLES_OF_USERS = (
    "user_marks", "user_facts", "user_versions", "user_settings_history", "setting_periods",
    "leavers", "history_plan", "history_claims",
)  # fmt: skip

# Locked, so that nobody who is seen again just now is removed.
_LEFT = text("""
    SELECT user_id FROM user_marks
    WHERE gone_at > last_seen_at AND gone_at < :before
    ORDER BY user_id
    FOR UPDATE
""")

# The last version of each user stays as long as he does: it says what he was, or when he left.
_REMOVE_VERSIONS = text("""
    WITH removed AS (
        DELETE FROM user_versions AS old
        WHERE valid_to < :before
          AND EXISTS (SELECT FROM user_versions AS later
                      WHERE later.user_id = old.user_id AND later.valid_from > old.valid_from)
        RETURNING valid_from
    )
    SELECT count(*), min(valid_from) FROM removed
""")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long to keep what is no longer so; None: for good.

    :ivar versions: versions of users, from when they ended on.
    :ivar left_users: everything of users who left Gong, from then on.
    """

    versions: timedelta | None = None
    left_users: timedelta | None = None


def remove_users(connection: Connection, user_ids: Sequence[str]) -> dict[str, int]:
    """Delete all rows of users, and owe the days on which they were counted.

    :return: how many rows of each table there were.
    """
    ids = {"ids": list(user_ids)}
    connection.execute(LOCK_MARKS, ids)  # first, as loads do
    since: datetime | None = connection.scalar(_SINCE, ids)
    counts = {}
    for table in TABLES_OF_USERS:
        remove = text(f"DELETE FROM {table} WHERE user_id = ANY (CAST(:ids AS text[]))")  # noqa: S608
        counts[table] = connection.execute(remove, ids).rowcount
    owe_coverage(connection, since)
    return counts


def remove_outdated(connection: Connection, retention: Retention, now: datetime) -> dict[str, int]:
    """Remove what is older than it is to be kept, and owe the days that were counted by it.

    :return: how many versions and users were removed, by name; empty where nothing is set.
    """
    hold_off_forgetting(connection)
    removed = {}
    if retention.left_users is not None:
        users = list(connection.scalars(_LEFT, {"before": now - retention.left_users}))
        if users:
            remove_users(connection, users)
        removed["users who left"] = len(users)
    if retention.versions is not None:
        old = {"before": now - retention.versions}
        removed["versions"], since = connection.execute(_REMOVE_VERSIONS, old).one()
        owe_coverage(connection, since)
    return removed
