-- A setting that never changed needs no stored period: it always had the value first seen.
CREATE OR REPLACE VIEW unchanged_settings AS
SELECT user_id,
       setting_key,
       CASE WHEN is_fetched_since THEN value END AS value,
       coalesce(created, first_seen_at) AS valid_from,
       CASE WHEN is_fetched_since THEN 'inferred' END AS provenance
FROM user_versions
JOIN user_sync_state AS state USING (user_id)
CROSS JOIN LATERAL (SELECT first_seen_at <= history_fetched_at) AS fetched (is_fetched_since)
CROSS JOIN LATERAL jsonb_each_text(
    first_settings
    - ARRAY(SELECT setting_key FROM setting_timelines AS changed WHERE changed.user_id = state.user_id)
) AS first_seen (setting_key, value)
WHERE is_current AND history_fetched_at IS NOT NULL AND value IS NOT NULL;

COMMENT ON VIEW unchanged_settings IS 'Settings whose histories have no change: their one period';
COMMENT ON COLUMN unchanged_settings.user_id IS 'The user';
COMMENT ON COLUMN unchanged_settings.setting_key IS 'The setting';
COMMENT ON COLUMN unchanged_settings.value IS
    'The value first seen; null: not known, as the history was not fetched since';
COMMENT ON COLUMN unchanged_settings.valid_from IS 'created of the user, or first_seen_at';
COMMENT ON COLUMN unchanged_settings.provenance IS 'inferred; null where the value is not known';
