-- The definition of setting_periods: loads bring the table up to it, user by user.
CREATE OR REPLACE VIEW derived_setting_periods AS
WITH persons AS NOT MATERIALIZED (
    SELECT user_id,
           coalesce(created, first_seen_at) AS began_at,
           first_settings,
           first_seen_at <= history_fetched_at AS is_fetched_since
    FROM user_versions
    JOIN user_sync_state USING (user_id)
    WHERE is_current AND history_fetched_at IS NOT NULL
), points AS NOT MATERIALIZED (
    -- Each change, and before the first one its previous value.
    SELECT user_id, setting_key, point.*
    FROM (
        SELECT *, row_number() OVER (PARTITION BY user_id, setting_key ORDER BY changed_at) = 1 AS is_first
        FROM setting_instants
    ) AS instant
    JOIN persons USING (user_id)
    CROSS JOIN LATERAL (
        SELECT changed_at, value, CASE WHEN NOT is_conflict THEN 'changed' END
        WHERE is_first OR NOT is_circle
        UNION ALL
        SELECT began_at, previous, CASE WHEN previous IS NULL THEN NULL
                                        WHEN is_flip THEN 'inferred' ELSE 'previous' END
        WHERE is_first AND began_at < changed_at
    ) AS point (at, value, provenance)
    UNION ALL
    -- Of a setting without a change, the value first seen.
    SELECT user_id, setting_key, began_at,
           CASE WHEN is_fetched_since THEN value END,
           CASE WHEN is_fetched_since THEN 'inferred' END
    FROM persons
    CROSS JOIN LATERAL jsonb_each_text(first_settings) AS first_seen (setting_key, value)
    WHERE value IS NOT NULL
      AND NOT EXISTS (SELECT FROM user_settings_history AS history
                      WHERE history.user_id = persons.user_id
                        AND history.setting_key = first_seen.setting_key
                        AND changed_at IS NOT NULL)
)
SELECT user_id,
       setting_key,
       value,
       at AS valid_from,
       lead(at) OVER (PARTITION BY user_id, setting_key ORDER BY at) AS valid_to,
       provenance
FROM (
    SELECT *,
           row_number() OVER each_setting > 1
               AND lag(value) OVER each_setting IS NOT DISTINCT FROM value AS is_as_before
    FROM points
    WINDOW each_setting AS (PARTITION BY user_id, setting_key ORDER BY at)
) AS point
WHERE NOT is_as_before;

COMMENT ON VIEW derived_setting_periods IS 'setting_periods, computed from scratch';
COMMENT ON COLUMN derived_setting_periods.user_id IS 'The user';
COMMENT ON COLUMN derived_setting_periods.setting_key IS
    'The setting''s one name; active is the user''s own active flag';
COMMENT ON COLUMN derived_setting_periods.value IS 'Its value; a boolean is true or false; null: not known';
COMMENT ON COLUMN derived_setting_periods.valid_from IS 'From when';
COMMENT ON COLUMN derived_setting_periods.valid_to IS 'Until when; null: the history has no change since';
COMMENT ON COLUMN derived_setting_periods.provenance IS
    'How the value is known: changed (by a change), previous (the first change''s previous value), inferred '
    '(the opposite of a switch''s first value; the value first seen, if it never changed); null: unknown';
