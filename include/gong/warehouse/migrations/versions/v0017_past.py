"""The past stays as it was seen: a new setting begins a version, a value keeps the day it was first seen."""

from include.gong.warehouse import ddl

revision = "0017"
down_revision = "0016"

VERSIONS = [
    (
        "only_adds_settings",
        "boolean NOT NULL DEFAULT false",
        "Whether it began because Gong newly answered a setting, or gave one a value: no fact changed",
    )
]

# By a hash, for a setting_key may be longer than the 2,704 bytes that an index row holds.
PERIODS = """
    DELETE FROM setting_periods AS period
    USING setting_periods AS other
    WHERE (period.user_id, period.setting_key, period.valid_from)
          = (other.user_id, other.setting_key, other.valid_from)
      AND period.ctid > other.ctid;
    CREATE UNIQUE INDEX setting_periods_once
        ON setting_periods (user_id, valid_from, hashtextextended(setting_key, 0));
    DROP INDEX setting_periods_user_id_valid_from_idx;
"""

# What the profile shows counts from when this value was first seen, not from when something else changed.
# WITH keeps the sides of the FULL JOIN apart, as in version 0015.
EFFECTIVE = """
    CREATE OR REPLACE FUNCTION effective_settings_as_of(moment timestamptz)
    RETURNS TABLE (user_id text, setting_key text, value text, source text, basis text,
                   valid_from timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT user_id, setting_key,
               CASE WHEN is_seen THEN seen.value ELSE told.value END,
               CASE WHEN is_seen THEN 'seen' ELSE 'history' END,
               CASE WHEN NOT is_seen THEN told.basis END,
               CASE WHEN is_seen THEN coalesce(since, seen.valid_from) ELSE told.valid_from END
        FROM (WITH apart AS (SELECT) SELECT * FROM settings_as_of(moment)) AS told
        FULL JOIN (
            WITH apart AS (SELECT)
            SELECT version.user_id, held.key AS setting_key, held.value, version.valid_from
            FROM users_as_of(moment) AS version
            CROSS JOIN LATERAL jsonb_each_text(
                coalesce(settings, '{}') || jsonb_build_object('active', active)
            ) AS held
            WHERE held.value IS NOT NULL
        ) AS seen USING (user_id, setting_key)
        CROSS JOIN LATERAL (
            SELECT CASE WHEN told.basis IS NOT NULL
                             AND seen.value IS DISTINCT FROM told.value
                             AND seen.valid_from > told.covers_until
                        THEN setting_seen_since(user_id, setting_key, seen.value, seen.valid_from) END
        ) AS first_seen (since)
        CROSS JOIN LATERAL (
            SELECT seen.value IS NOT NULL
                   AND (told.basis IS NULL OR coalesce(since > told.covers_until, false))
        ) AS choice (is_seen);
    END
"""
SEEN_SINCE = """
    SELECT coalesce(min(version.valid_from), seen_from)
    FROM user_versions AS version
    WHERE version.user_id = wanted_user_id
      AND version.valid_from <= seen_from
      AND version.valid_from > coalesce((
        SELECT max(other.valid_from)
        FROM user_versions AS other
        WHERE other.user_id = wanted_user_id AND other.valid_from < seen_from
          AND (coalesce(other.settings, '{}') || jsonb_build_object('active', other.active))
              ->> wanted_setting_key IS DISTINCT FROM seen_value), '-infinity')
"""


def upgrade() -> None:
    ddl.add_columns("user_versions", VERSIONS)
    ddl.run(PERIODS)
    ddl.run(f"""
        CREATE FUNCTION setting_seen_since(wanted_user_id text, wanted_setting_key text, seen_value text,
                                           seen_from timestamptz)
        RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
        BEGIN ATOMIC {SEEN_SINCE}; END;
        COMMENT ON FUNCTION setting_seen_since IS
            'Since when a profile was seen with a setting''s value that a version from seen_from on shows';
    """)
    ddl.run(EFFECTIVE)
