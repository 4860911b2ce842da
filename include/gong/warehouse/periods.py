"""Brings setting_periods up to date for the users that a load touched."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, text

# The view says what should be there. It is asked user by user (OFFSET 0 keeps it so): for many at once the
# planner would read everyone's changes.
DERIVED_AND_HELD = """
    derived AS (
        SELECT period.*
        FROM unnest(CAST(:ids AS text[])) AS one (user_id)
        CROSS JOIN LATERAL (
            SELECT * FROM derived_setting_periods AS each WHERE each.user_id = one.user_id OFFSET 0
        ) AS period
    ), held AS (
        SELECT * FROM setting_periods WHERE user_id = ANY (CAST(:ids AS text[]))
    )
"""
"""The setting periods of users ``:ids``, as SQL: as they should be, and as they are."""

# In one order, so that loads, erasures and removals wait for each other, never in a circle.
LOCK_MARKS = text(
    "SELECT FROM user_marks WHERE user_id = ANY (CAST(:ids AS text[])) ORDER BY user_id FOR UPDATE"
)
"""What locks users ``:ids``, whose periods may then be rewritten, or who may be removed."""

# Only what differs is written.
_REFRESH = text(f"""
    WITH {DERIVED_AND_HELD}, wrong AS (
        TABLE held EXCEPT ALL TABLE derived
    ), missing AS (
        TABLE derived EXCEPT ALL TABLE held
    ), removed AS (
        DELETE FROM setting_periods AS period
        USING wrong
        WHERE period.user_id = wrong.user_id
          AND period.valid_from = wrong.valid_from
          AND period.setting_key = wrong.setting_key
        RETURNING 1
    ), added AS (
        -- After the removal, for there is one period for each user, setting and start.
        INSERT INTO setting_periods SELECT missing.* FROM missing, (SELECT count(*) FROM removed) AS done
    )
    SELECT min(valid_from) FROM (TABLE wrong UNION ALL TABLE missing) AS different
""")  # noqa: S608 (a constant)


def refresh_periods(connection: Connection, user_ids: Collection[str]) -> datetime | None:
    """Rewrite the setting periods of users, whose rows in user_marks the caller holds locked.

    :return: the earliest instant at which something is different now; None: nothing is.
    """
    if not user_ids:
        return None
    since: datetime | None = connection.scalar(_REFRESH, {"ids": list(user_ids)})
    return since
