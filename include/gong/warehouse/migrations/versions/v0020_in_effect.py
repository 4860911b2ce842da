"""Today's states follow the settings in effect, as the past's; a setting first seen later keeps its past."""

from include.gong.warehouse import ddl
from include.gong.warehouse.migrations.answers.states import NAMES, SWITCHES
from include.gong.warehouse.migrations.answers.words import full_name, switch

revision = "0020"
down_revision = "0019"

KEYS = ", ".join(f"'{key}'" for key in ("active", *SWITCHES.values()))


def _in_effect(key: str) -> str:
    """SQL: the value of a setting, from the history where that differs from the profile."""
    settings = f"CASE WHEN reported.settings ? '{key}' THEN reported.settings ELSE user_facts.settings END"
    return switch(f"({settings}) ->> '{key}'")


IN_EFFECT = ", ".join(f"{_in_effect(key)} AS {column}" for column, key in SWITCHES.items())

# Values of the history that are in effect though the profile shows another, by the rule of
# effective_settings_as_of(now()): few, so all other users are read from their profile. A join of sets: looked
# up for each user, it would take ten times as long.
REPORTED = f"""
    SELECT user_id, jsonb_object_agg(setting_key, period.value) AS settings
    FROM setting_periods AS period
    JOIN user_facts USING (user_id)
    JOIN user_sync_state AS state USING (user_id)
    CROSS JOIN LATERAL (
        SELECT CASE setting_key WHEN 'active' THEN active::text ELSE user_facts.settings ->> setting_key END
    ) AS profile (value)
    WHERE setting_key IN ({KEYS})
      AND valid_from <= now() AND (valid_to IS NULL OR now() < valid_to)
      AND provenance IS NOT NULL
      AND period.value IS DISTINCT FROM profile.value
      AND (created IS NULL OR created <= now())
      AND (deleted_at > last_seen_at) IS NOT TRUE
      AND (profile.value IS NULL
           OR setting_seen_since(user_id, setting_key, profile.value, now()) <= history_covers_until)
    GROUP BY user_id
"""  # noqa: S608 (constants)
STATES = f"""
    SELECT user_id, {full_name("user_facts")} AS name, email_address, title, manager_id,
           coalesce(meeting_consent_page_url, '') <> '' AS has_consent_page,
           switches.active, {NAMES}, is_in_gong AND is_recorded AS is_recorded,
           is_in_gong AND is_importing AS is_importing,
           is_in_gong, coalesce(created, first_seen_at) AS joined_at,
           CASE WHEN NOT is_in_gong THEN deleted_at END AS deleted_at
    FROM user_facts
    JOIN user_sync_state USING (user_id)
    LEFT JOIN ({REPORTED}) AS reported USING (user_id)
    CROSS JOIN LATERAL (SELECT (deleted_at > last_seen_at) IS NOT TRUE) AS presence (is_in_gong)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN reported.settings ? 'active' THEN {switch("reported.settings ->> 'active'")}
                    ELSE user_facts.active END AS active, {IN_EFFECT}
    ) AS switches
    CROSS JOIN LATERAL in_effect(switches.active, {NAMES})
"""  # noqa: S608 (constants)

# OFFSET 0 looks the manager up by id, so a query for one user reads no table whole.
WITH_MANAGERS = """
    SELECT person.user_id, person.name, person.email_address, person.title, person.active,
           person.manager_id, manager.name AS manager_name, manager.email_address AS manager_email_address,
           CASE WHEN person.manager_id IS NULL THEN NULL
                WHEN manager.user_id IS NULL THEN 'unknown'
                WHEN NOT manager.is_in_gong THEN 'deleted'
                WHEN manager.active THEN 'active'
                WHEN NOT manager.active THEN 'inactive' END AS manager_status
    FROM user_states AS person
    LEFT JOIN LATERAL (
        SELECT * FROM user_states WHERE user_id = person.manager_id OFFSET 0
    ) AS manager ON true
    WHERE person.is_in_gong
"""

# From when on a user has settings: before the first request, only as the history reports them.
USERS = """
    SELECT user_id, coalesce(created, first_seen_at) AS began_at, first_settings,
           first_seen_at <= history_fetched_at AS is_fetched_since
    FROM user_facts JOIN user_sync_state USING (user_id)
    WHERE history_fetched_at IS NOT NULL
"""
POINTS = f"""
    SELECT user_id, setting_key, point.*
    FROM (
        SELECT *, row_number() OVER (PARTITION BY user_id, setting_key ORDER BY changed_at) = 1 AS is_first
        FROM setting_instants
    ) AS instant
    JOIN ({USERS}) AS users_ USING (user_id)
    CROSS JOIN LATERAL (
        SELECT changed_at, value, CASE WHEN NOT is_conflict THEN 'changed' END
        WHERE is_first OR NOT is_circle
        UNION ALL
        SELECT began_at, previous, CASE WHEN previous IS NULL THEN NULL
                                        WHEN is_flip THEN 'inferred' ELSE 'previous' END
        WHERE is_first AND began_at < changed_at
    ) AS point (at, value, provenance)
    UNION ALL
    SELECT user_id, setting_key, began_at, CASE WHEN is_fetched_since THEN value END,
           CASE WHEN is_fetched_since THEN 'inferred' END
    FROM ({USERS}) AS users_
    CROSS JOIN LATERAL jsonb_each_text(first_settings) AS first_seen (setting_key, value)
    WHERE value IS NOT NULL
      AND NOT EXISTS (SELECT FROM user_settings_history AS history
                      WHERE history.user_id = users_.user_id
                        AND history.setting_key = first_seen.setting_key
                        AND changed_at IS NOT NULL)
"""  # noqa: S608 (constants)
DERIVED = f"""
    SELECT user_id, setting_key, value, at AS valid_from,
           lead(at) OVER (PARTITION BY user_id, setting_key ORDER BY at) AS valid_to, provenance
    FROM (
        SELECT *, row_number() OVER each_setting > 1
                  AND lag(value) OVER each_setting IS NOT DISTINCT FROM value AS is_as_before
        FROM ({POINTS}) AS point
        WINDOW each_setting AS (PARTITION BY user_id, setting_key ORDER BY at)
    ) AS point
    WHERE NOT is_as_before
"""  # noqa: S608 (a constant)

# The oldest version that has a value of a setting has the one first seen.
FIRST_SETTINGS = """
    UPDATE user_sync_state AS state
    SET first_settings = coalesce(first_settings, '{}') || later.settings
    FROM (
        SELECT user_id, jsonb_object_agg(key, value) AS settings
        FROM (
            SELECT DISTINCT ON (user_id, key) user_id, key, value
            FROM user_versions
            CROSS JOIN LATERAL jsonb_each(
                coalesce(settings, '{}') || jsonb_build_object('active', active)
            ) AS seen
            WHERE value <> 'null'
            ORDER BY user_id, key, valid_from
        ) AS first_seen
        JOIN user_sync_state USING (user_id)
        WHERE first_settings ->> key IS NULL
        GROUP BY user_id
    ) AS later
    WHERE state.user_id = later.user_id;
    TRUNCATE setting_periods;
    INSERT INTO setting_periods SELECT * FROM derived_setting_periods;
    INSERT INTO coverage_invalidations SELECT min(day) FROM recording_coverage_daily HAVING count(*) > 0;
"""
COMMENTS = """
    COMMENT ON VIEW user_states IS
        'Each user today in the terms of the glossary, deleted users too; settings as in '
        'effective_settings_as_of(now()), of deleted users as last seen; null: not known';
    COMMENT ON COLUMN user_sync_state.first_settings IS
        'Each setting''s value, and the active flag among them, in the first response that had one';
"""


def upgrade() -> None:
    ddl.run(f"""
        CREATE OR REPLACE VIEW user_states AS {STATES};
        CREATE OR REPLACE VIEW users_with_managers AS {WITH_MANAGERS};
        CREATE OR REPLACE VIEW derived_setting_periods AS {DERIVED};
        {FIRST_SETTINGS} {COMMENTS}
    """)
