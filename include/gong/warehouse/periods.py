"""Refreshes what is derived from histories, for the users that a load touched."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, TextClause, text

# The view derives the periods. It is queried user by user (OFFSET 0 forces that): for many users at once, the
# planner would read the changes of all users.
DERIVED = """
    derived AS (
        SELECT period.*
        FROM unnest(CAST(:ids AS text[])) AS one (user_id)
        CROSS JOIN LATERAL (
            SELECT * FROM derived_setting_periods AS each WHERE each.user_id = one.user_id OFFSET 0
        ) AS period
    )
"""
"""SQL: the setting periods of users ``:ids``, as derived."""
DERIVED_AND_STORED = f"""
    {DERIVED}, stored AS (
        SELECT * FROM setting_periods WHERE user_id = ANY (CAST(:ids AS text[]))
    )
"""  # noqa: S608 (a constant)
"""SQL: the setting periods of users ``:ids``, as derived and as stored."""

# In a fixed order, so that loads, erasures and removals do not deadlock.
LOCK_USERS = text(
    "SELECT FROM user_sync_state WHERE user_id = ANY (CAST(:ids AS text[])) ORDER BY user_id FOR UPDATE"
)
"""Locks users ``:ids``, to rewrite their periods or to remove them."""

# Writes only differences.
_REFRESH = text(f"""
    WITH {DERIVED_AND_STORED}, wrong AS (
        TABLE stored EXCEPT ALL TABLE derived
    ), missing AS (
        TABLE derived EXCEPT ALL TABLE stored
    ), removed AS (
        DELETE FROM setting_periods AS period
        USING wrong
        WHERE period.user_id = wrong.user_id
          AND period.valid_from = wrong.valid_from
          AND period.setting_key = wrong.setting_key
        RETURNING 1
    ), added AS (
        -- After the removal, because user, setting and start are unique.
        INSERT INTO setting_periods SELECT missing.* FROM missing, (SELECT count(*) FROM removed) AS done
    )
    SELECT min(valid_from) FROM (TABLE wrong UNION ALL TABLE missing) AS different
""")  # noqa: S608 (a constant)

# The profile of nearly every user shows what the history ends in: only others need the rule of the function.
_REFRESH_SETTINGS_BY_HISTORY = text("""
    WITH candidates AS (
        SELECT DISTINCT user_id
        FROM setting_periods
        JOIN users USING (user_id)
        WHERE user_id = ANY (CAST(:ids AS text[]))
          AND valid_to IS NULL AND provenance IS NOT NULL
          AND value IS DISTINCT FROM all_settings(settings, active) ->> setting_key
          AND (setting_key = ANY (report_settings())
               OR all_settings(settings, active) ->> setting_key IS NOT NULL)
    ), derived AS (
        SELECT user_id, CASE WHEN candidates.user_id IS NOT NULL
                             THEN derived_settings_by_history(user_id) END AS settings
        FROM unnest(CAST(:ids AS text[])) AS one (user_id)
        LEFT JOIN candidates USING (user_id)
    )
    UPDATE user_sync_state AS state
    SET settings_by_history = derived.settings
    FROM derived
    WHERE state.user_id = derived.user_id AND settings_by_history IS DISTINCT FROM derived.settings
""")


# Of users without any, all at once: comparing takes as long as writing them.
_ADD = text(f"""
    WITH {DERIVED}, added AS (
        INSERT INTO setting_periods SELECT * FROM derived RETURNING valid_from
    )
    SELECT min(valid_from) FROM added
""")  # noqa: S608 (a constant)


def refresh_derived(connection: Connection, user_ids: Collection[str]) -> datetime | None:
    """Refresh the setting periods and the settings in effect of users whose rows the caller has locked.

    :return: the earliest instant of a difference between periods; None: no period changed.
    """
    since = refresh_periods(connection, user_ids)
    refresh_settings_by_history(connection, user_ids)
    return since


def refresh_settings_by_history(connection: Connection, user_ids: Collection[str]) -> None:
    """Refresh settings_by_history of users whose profile, periods, or complete time changed."""
    if user_ids:
        connection.execute(_REFRESH_SETTINGS_BY_HISTORY, {"ids": list(user_ids)})


def refresh_periods(connection: Connection, user_ids: Collection[str]) -> datetime | None:
    """Rewrite the setting periods of users; the caller has locked their rows in user_sync_state.

    :return: the earliest instant of a difference; None: nothing changed.
    """
    return _since(connection, _REFRESH, user_ids)


def add_periods(connection: Connection, user_ids: Collection[str]) -> datetime | None:
    """Write the setting periods of users who have none; the caller has locked their rows in user_sync_state.

    :return: the earliest instant; None: no period was written.
    """
    return _since(connection, _ADD, user_ids)


def _since(connection: Connection, statement: TextClause, user_ids: Collection[str]) -> datetime | None:
    if not user_ids:
        return None
    since: datetime | None = connection.scalar(statement, {"ids": list(user_ids)})
    return since
