-- The finding setting_conflict: each user whose profile and history differ, once.
CREATE OR REPLACE FUNCTION conflicting_users_as_of(moment timestamptz)
RETURNS TABLE (
    user_id text,
    since   timestamptz,
    why     text
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT user_id, max(nullif(at, first_seen_at)),
           string_agg(setting_label(setting_key) || ': ' || value_label(history_value) || ' in the history, '
                      || value_label(profile_value) || ' in the profile', '; ' ORDER BY setting_key)
    FROM setting_conflicts_as_of(moment)
    JOIN user_sync_state USING (user_id)
    WHERE kind = 'profile'
    GROUP BY user_id;
END;

COMMENT ON FUNCTION conflicting_users_as_of IS
    'Users whose profile and history differ at a moment, as setting_conflicts_as_of has them
user_id: The user
since: Since when, of the last setting; null: not known, for it was so when the user was first seen
why: Which settings, in words';
