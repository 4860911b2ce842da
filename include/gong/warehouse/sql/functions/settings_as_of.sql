-- Settings by the histories alone.
CREATE OR REPLACE FUNCTION settings_as_of(moment timestamptz)
RETURNS TABLE (
    user_id      text,
    setting_key  text,
    value        text,
    provenance   text,
    valid_from   timestamptz,
    covers_until timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT user_id, setting_key, value, provenance, valid_from, history_covers_until
    FROM (
        SELECT user_id, setting_key, period_values[number], provenances[number], starts[number]
        FROM setting_timelines
        CROSS JOIN LATERAL (SELECT width_bucket(moment, starts)) AS last_started (number)
        WHERE number > 0
        UNION ALL
        SELECT user_id, setting_key, value, provenance, valid_from
        FROM unchanged_settings
        WHERE valid_from <= moment
    ) AS period (user_id, setting_key, value, provenance, valid_from)
    JOIN users USING (user_id)
    WHERE (created IS NULL OR created <= moment)
      AND NOT EXISTS (SELECT FROM absent_at(moment) AS absent WHERE absent.user_id = period.user_id);
END;

COMMENT ON FUNCTION settings_as_of IS
    'Each setting of each user at a moment, from the histories
user_id: A user who had been created and was not deleted at that moment
setting_key: The setting; active is the user''s own flag
value: Its value then; null: not known
provenance: How the value is known, as in setting_periods
valid_from: Since when it had this value
covers_until: Until when the history is complete: a later change may be missing';
