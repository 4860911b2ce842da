"""Refreshes what is derived from histories, for the users that a load touched."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, text

DERIVED_AND_STORED = """
    derived AS (
        SELECT * FROM derived_setting_timelines(CAST(:ids AS text[]))
    ), stored AS (
        SELECT * FROM setting_timelines WHERE user_id = ANY (CAST(:ids AS text[]))
    ), wrong AS (
        TABLE stored EXCEPT ALL TABLE derived
    ), missing AS (
        TABLE derived EXCEPT ALL TABLE stored
    )
"""
"""SQL: the setting timelines of users ``:ids``, as derived and as stored, and where these differ."""

# In a fixed order, so that loads, erasures and removals do not deadlock.
LOCK_USERS = text(
    "SELECT FROM user_sync_state WHERE user_id = ANY (CAST(:ids AS text[])) ORDER BY user_id FOR UPDATE"
)
"""Locks users ``:ids``, to rewrite their periods or to remove them."""

_EACH_START = "SELECT user_id, setting_key, unnest(starts), unnest(period_values), unnest(provenances)"
# Writes only differences. They begin at the earliest start of a period that only one side has.
_REFRESH = text(f"""
    WITH {DERIVED_AND_STORED}, removed AS (
        DELETE FROM setting_timelines AS timeline
        USING wrong
        WHERE timeline.user_id = wrong.user_id AND timeline.setting_key = wrong.setting_key
        RETURNING 1
    ), added AS (
        -- After the removal, because user and setting are unique.
        INSERT INTO setting_timelines SELECT missing.* FROM missing, (SELECT count(*) FROM removed) AS done
    ), was AS (
        {_EACH_START} FROM wrong
    ), is_now AS (
        {_EACH_START} FROM missing
    )
    SELECT min(start)
    FROM ((TABLE was EXCEPT ALL TABLE is_now) UNION ALL (TABLE is_now EXCEPT ALL TABLE was))
        AS different (user_id, setting_key, start)
""")  # noqa: S608 (constants)

# The profile of nearly every user shows what the history ends in: only others need the rule of the function.
_REFRESH_SETTINGS_BY_HISTORY = text("""
    WITH candidates AS MATERIALIZED (
        SELECT user_id
        FROM (
            SELECT user_id, first_settings || coalesce(settings_now, '{}') AS known,
                   all_settings(settings, active) AS profile
            FROM user_versions
            JOIN user_sync_state AS state USING (user_id)
            CROSS JOIN LATERAL (
                SELECT jsonb_object_agg(setting_key, period_values[cardinality(starts)])
                FROM setting_timelines AS timeline
                WHERE timeline.user_id = state.user_id
            ) AS changed (settings_now)
            WHERE is_current AND user_id = ANY (CAST(:ids AS text[]))
            OFFSET 0  -- both are computed once a user, not once a setting
        ) AS settings
        WHERE EXISTS (SELECT
                      FROM jsonb_each_text(known) AS each (setting_key, value)
                      CROSS JOIN LATERAL (SELECT profile ->> setting_key) AS seen (shown)
                      WHERE value IS DISTINCT FROM shown
                        AND (setting_key = ANY (report_settings()) OR shown IS NOT NULL))
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
    """Rewrite the stored periods of users; the caller has locked their rows in user_sync_state.

    :return: the earliest instant of a difference; None: nothing changed.
    """
    if not user_ids:
        return None
    since: datetime | None = connection.scalar(_REFRESH, {"ids": list(user_ids)})
    return since
