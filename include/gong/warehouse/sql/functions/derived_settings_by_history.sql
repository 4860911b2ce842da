-- The definition of user_sync_state.settings_by_history: loads bring it up to date.
CREATE OR REPLACE FUNCTION derived_settings_by_history(wanted_user_id text)
RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT jsonb_object_agg(setting_key, effective.value)
    FROM effective_settings_as_of('infinity') AS effective
    JOIN users USING (user_id)
    WHERE effective.user_id = wanted_user_id
      -- Of other settings, only where the profile shows them: those are conflicts.
      AND (setting_key = ANY (report_settings()) OR all_settings(settings, active) ->> setting_key IS NOT NULL)
      AND source = 'history'
      AND provenance IS NOT NULL
      AND effective.value IS DISTINCT FROM all_settings(settings, active) ->> setting_key;
END;

COMMENT ON FUNCTION derived_settings_by_history IS
    'settings_by_history of user_sync_state of a user, computed from scratch; null: none';
