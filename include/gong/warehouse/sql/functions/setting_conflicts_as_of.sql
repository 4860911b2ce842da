-- Where Gong contradicted itself at a moment.
CREATE OR REPLACE FUNCTION setting_conflicts_as_of(moment timestamptz)
RETURNS TABLE (
    user_id       text,
    setting_key   text,
    kind          text,
    at            timestamptz,
    history_value text,
    profile_value text
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT user_id, setting_key, 'one_instant', changed_at, NULL, NULL
    FROM setting_instants
    WHERE is_conflict AND changed_at <= moment
    UNION ALL
    SELECT version.user_id, setting_key, 'profile',
           greatest(period.valid_from,
                    setting_seen_since(version.user_id, setting_key, profile.value, version.valid_from)),
           period.value, profile.value
    FROM users_as_of(moment) AS version
    JOIN user_sync_state AS state USING (user_id)
    CROSS JOIN LATERAL (
        -- When the profile was last seen so. 15 minutes: as much as two clocks may differ, and a history may
        -- be late.
        SELECT least(CASE WHEN state.last_seen_at <= moment THEN state.last_seen_at
                          ELSE greatest(version.valid_from, (SELECT max(started_at) FROM listings
                                                             WHERE started_at <= moment)) END,
                     history_covers_until) - interval '15 minutes'
    ) AS settled (at)
    CROSS JOIN LATERAL jsonb_each_text(all_settings(settings, active)) AS profile (setting_key, value)
    JOIN LATERAL (
        SELECT setting_key, value, valid_from, provenance
        FROM setting_periods
        WHERE setting_periods.user_id = version.user_id
          AND valid_from <= moment AND (valid_to IS NULL OR moment < valid_to)
        OFFSET 0  -- user by user
    ) AS period USING (setting_key)
    WHERE version.valid_from < settled.at
      AND period.valid_from < settled.at
      AND period.provenance IS NOT NULL
      AND profile.value <> period.value;
END;

COMMENT ON FUNCTION setting_conflicts_as_of IS
    'Conflicts within a history, or between history and profile, at a moment
user_id: The user
setting_key: The setting
kind: one_instant: several values at one instant, and it is unknown which was the last; profile: the history'
    ' has another value than the profile shows, and no change is recent enough to explain it
at: The instant, or since when profile and history differ
history_value: The value in the history; null: not known
profile_value: The value in the profile';
