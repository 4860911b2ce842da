"""Removes users with everything that is held of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from include.warehouse.coverage import owe_coverage

# In one order with the loads', so that they wait for each other, never in a circle: user_marks first.
_LOCK = text("SELECT FROM user_marks WHERE user_id = ANY (CAST(:ids AS text[])) ORDER BY user_id FOR UPDATE")
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


def remove_users(connection: Connection, user_ids: Sequence[str]) -> dict[str, int]:
    """Delete all rows of users, and owe the days on which they were counted.

    :return: how many rows of each table there were.
    """
    ids = {"ids": list(user_ids)}
    connection.execute(_LOCK, ids)
    since: datetime | None = connection.scalar(_SINCE, ids)
    counts = {}
    for table in TABLES_OF_USERS:
        remove = text(f"DELETE FROM {table} WHERE user_id = ANY (CAST(:ids AS text[]))")  # noqa: S608
        counts[table] = connection.execute(remove, ids).rowcount
    owe_coverage(connection, since)
    return counts
