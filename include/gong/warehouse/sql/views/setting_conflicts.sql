-- Where Gong contradicts itself.
CREATE OR REPLACE VIEW setting_conflicts AS
SELECT user_id,
       setting_key,
       'one_instant' AS kind,
       changed_at AS at,
       NULL::text AS history_value,
       NULL::text AS profile_value
FROM setting_instants
WHERE is_conflict
UNION ALL
SELECT version.user_id, setting_key, 'profile', version.valid_from, period.value, profile.value
FROM user_versions AS version
JOIN user_sync_state AS state USING (user_id)
CROSS JOIN LATERAL (
    -- 15 minutes: as much as two clocks may differ, and a history may be late.
    SELECT least(last_seen_at, history_covers_until) - interval '15 minutes'
) AS settled (at)
CROSS JOIN LATERAL jsonb_each_text(all_settings(settings, active)) AS profile (setting_key, value)
JOIN LATERAL (
    SELECT setting_key, value, valid_from, provenance
    FROM setting_periods
    WHERE setting_periods.user_id = version.user_id AND valid_to IS NULL
    OFFSET 0  -- user by user
) AS period USING (setting_key)
WHERE is_current AND NOT is_deleted
  AND version.valid_from < settled.at
  AND period.valid_from < settled.at
  AND period.provenance IS NOT NULL
  AND profile.value <> period.value;

COMMENT ON VIEW setting_conflicts IS 'Conflicts within a history, or between history and profile';
COMMENT ON COLUMN setting_conflicts.user_id IS 'The user';
COMMENT ON COLUMN setting_conflicts.setting_key IS 'The setting';
COMMENT ON COLUMN setting_conflicts.kind IS
    'one_instant: several values at one instant, and it is unknown which was the last; profile: the history '
    'ends in another value than the profile shows, and no change is recent enough to explain it';
COMMENT ON COLUMN setting_conflicts.at IS 'The instant, or since when the profile has been seen like this';
COMMENT ON COLUMN setting_conflicts.history_value IS 'The value in the history; null: not known';
COMMENT ON COLUMN setting_conflicts.profile_value IS 'The value in the profile';
