-- The one place that decides between history and profile.
CREATE OR REPLACE FUNCTION effective_settings_as_of(moment timestamptz)
RETURNS TABLE (
    user_id     text,
    setting_key text,
    value       text,
    source      text,
    provenance  text,
    valid_from  timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- WITH keeps the sides of the join apart: a condition on its rows then reaches the indexes of both.
    SELECT user_id, setting_key,
           CASE WHEN is_seen THEN seen.value ELSE reported.value END,
           CASE WHEN is_seen THEN 'seen' ELSE 'history' END,
           CASE WHEN NOT is_seen THEN reported.provenance END,
           CASE WHEN is_seen THEN coalesce(since, seen.valid_from) ELSE reported.valid_from END
    FROM (
        WITH apart AS (SELECT) SELECT * FROM settings_as_of(moment)
    ) AS reported
    FULL JOIN (
        WITH apart AS (SELECT)
        SELECT user_id, setting_key, value, valid_from
        FROM users_as_of(moment)
        CROSS JOIN LATERAL jsonb_each_text(all_settings(settings, active)) AS profile (setting_key, value)
        WHERE value IS NOT NULL
    ) AS seen USING (user_id, setting_key)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN reported.provenance IS NOT NULL
                     AND seen.value IS DISTINCT FROM reported.value
                     AND seen.valid_from > reported.covers_until
                    THEN setting_seen_since(user_id, setting_key, seen.value, seen.valid_from) END
    ) AS first_seen (since)
    CROSS JOIN LATERAL (
        SELECT seen.value IS NOT NULL
               AND (reported.provenance IS NULL OR coalesce(since > reported.covers_until, false))
    ) AS choice (is_seen);
END;

COMMENT ON FUNCTION effective_settings_as_of IS
    'Each setting of each user at a moment: from the history where it has a value, else as seen in the '
    'profile
user_id: The user
setting_key: The setting; active is the user''s own flag
value: Its value then; null: not known
source: history, or seen: the profile as returned, where the history has no value
provenance: How the history knows the value, as in setting_periods; null where it was seen
valid_from: Since when the history has this value, or the profile was seen so';
