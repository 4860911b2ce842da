"""On PostgreSQL 15, functions as of a moment read all users' rows for one user: they look that one up."""

from include.gong.warehouse import ddl
from include.gong.warehouse.migrations.answers import evidence

revision = "0015"
down_revision = "0014"

# Before version 16, a condition on user_id reaches the sides of a FULL JOIN only where each side is a single
# relation. WITH keeps a subquery one: the planner does not dissolve it into its joins. Nothing reads it.
EFFECTIVE_SETTINGS_AS_OF = """
    CREATE OR REPLACE FUNCTION effective_settings_as_of(moment timestamptz)
    RETURNS TABLE (user_id text, setting_key text, value text, source text, basis text,
                   valid_from timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT user_id, setting_key,
               CASE WHEN is_seen THEN seen.value ELSE told.value END,
               CASE WHEN is_seen THEN 'seen' ELSE 'history' END,
               CASE WHEN NOT is_seen THEN told.basis END,
               CASE WHEN is_seen THEN seen.valid_from ELSE told.valid_from END
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
            SELECT seen.value IS NOT NULL
                   AND (told.basis IS NULL
                        OR (seen.valid_from > told.covers_until AND seen.value IS DISTINCT FROM told.value))
        ) AS choice (is_seen);
    END
"""


def upgrade() -> None:
    ddl.run(EFFECTIVE_SETTINGS_AS_OF)
    evidence.create()
