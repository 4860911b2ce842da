-- The definition of setting_timelines: loads bring the table up to it.
CREATE OR REPLACE FUNCTION derived_setting_timelines(user_ids text[])
RETURNS TABLE (
    user_id       text,
    setting_key   text,
    starts        timestamptz[],
    period_values text[],
    provenances   text[]
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH persons AS MATERIALIZED (
        SELECT user_id, coalesce(created, first_seen_at) AS began_at
        FROM user_versions
        JOIN user_sync_state USING (user_id)
        WHERE is_current AND history_fetched_at IS NOT NULL
          AND (user_ids IS NULL OR user_id = ANY (user_ids))
    ), instants AS NOT MATERIALIZED (
        SELECT *, row_number() OVER (PARTITION BY user_id, setting_key ORDER BY changed_at) = 1 AS is_first
        FROM setting_instants
        WHERE user_ids IS NULL OR user_id = ANY (user_ids)
    ), points AS NOT MATERIALIZED (
        -- Each change, and before the first one its previous value.
        SELECT user_id, setting_key, point.*
        FROM instants
        JOIN persons USING (user_id)
        CROSS JOIN LATERAL (
            SELECT changed_at, value, CASE WHEN NOT is_conflict THEN 'changed' END
            WHERE is_first OR NOT is_circle
            UNION ALL
            SELECT began_at, previous, CASE WHEN previous IS NULL THEN NULL
                                            WHEN is_flip THEN 'inferred' ELSE 'previous' END
            WHERE is_first AND began_at < changed_at
        ) AS point (at, value, provenance)
    )
    -- In the order of the window: before PostgreSQL 16, ORDER BY would sort once more for each array.
    SELECT user_id, setting_key, array_agg(at), array_agg(value), array_agg(provenance)
    FROM (
        SELECT *,
               row_number() OVER each_setting > 1
                   AND lag(value) OVER each_setting IS NOT DISTINCT FROM value AS is_as_before
        FROM points
        WINDOW each_setting AS (PARTITION BY user_id, setting_key ORDER BY at)
    ) AS point
    WHERE NOT is_as_before
    GROUP BY user_id, setting_key;
END;

COMMENT ON FUNCTION derived_setting_timelines IS
    'setting_timelines of some users, computed from scratch; of all users for null
user_id: The user
setting_key: The setting
starts: Start of each period, ascending
period_values: Value of each period; null: not known
provenances: Provenance of each period, as in setting_periods';
