"""Stores versions of users (SCD type 2): a page with other values, or a new setting, begins a version."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, text

from include.gong.warehouse.runs import RunKey
from include.gong.warehouse.user_columns import (
    STAGED,
    USER_COLUMNS,
    as_version,
    settings_added,
    user_changed,
)

_NAMES = ", ".join(USER_COLUMNS)
_STORED = ", ".join(f"stored.{name}" for name in USER_COLUMNS)

_CLOSE = text(f"""
    UPDATE user_versions AS stored
    SET valid_to = :at
    FROM {STAGED}
    WHERE stored.user_id = staged.user_id
      AND stored.valid_to IS NULL
      AND stored.valid_from < :at
      AND ({user_changed("stored", "staged")} OR {settings_added("stored", "staged")})
""")  # noqa: S608 (only names of columns)

# For differences that begin no version, or at the same instant: the open version stays equal to the user.
_ADJUST = text(f"""
    UPDATE user_versions AS stored
    SET ({_NAMES}) = ROW ({as_version("staged")})
    FROM {STAGED}
    WHERE stored.user_id = staged.user_id
      AND stored.valid_to IS NULL
      AND ROW ({_STORED}) IS DISTINCT FROM ROW ({as_version("staged")})
""")  # noqa: S608 (only names of columns)

# A late response begins no version of a user who was deleted since.
_OPEN = text(f"""
    WITH opened AS (
        INSERT INTO user_versions (user_id, valid_from, {_NAMES}, seen_in_dag, seen_in_run,
                                   only_adds_settings)
        SELECT user_id, :at, {as_version("staged")}, :dag_id, :run_id,
               EXISTS (SELECT FROM user_versions AS stored
                       WHERE stored.user_id = staged.user_id AND stored.valid_to = :at
                         AND NOT {user_changed("stored", "staged")})
        FROM {STAGED} JOIN user_sync_state USING (user_id)
        WHERE coalesce(deleted_at <= :at, true)
          AND NOT EXISTS (SELECT FROM user_versions AS stored
                          WHERE stored.user_id = staged.user_id AND stored.valid_to IS NULL)
        RETURNING user_id
    )
    SELECT min(ended_at)
    FROM (SELECT max(valid_to) AS ended_at FROM user_versions JOIN opened USING (user_id) GROUP BY user_id)
        AS returned
    WHERE ended_at < :at
""")  # noqa: S608 (only names of columns)


def store_versions(
    connection: Connection, run: RunKey, at: datetime, *, some_differ: bool
) -> datetime | None:
    """Update the versions of the users in ``user_columns.USERS``.

    :param at: when the request that returned them started; no newer response is stored.
    :param some_differ: whether some differ from their stored rows; else no version is closed.
    :return: the earliest deletion among users who are back; None: no user is back.
    """
    if some_differ:
        connection.execute(_CLOSE, {"at": at})
        connection.execute(_ADJUST)
    away_since: datetime | None = connection.scalar(_OPEN, run._asdict() | {"at": at})
    return away_since
