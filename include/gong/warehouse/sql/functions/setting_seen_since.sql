-- Since when a profile shows a value: a change of something else begins no new time.
CREATE OR REPLACE FUNCTION setting_seen_since(
    wanted_user_id text,
    wanted_setting_key text,
    seen_value text,
    seen_from timestamptz
)
RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(min(version.valid_from), seen_from)
    FROM user_versions AS version
    WHERE version.user_id = wanted_user_id
      AND version.valid_from <= seen_from
      AND version.valid_from > coalesce((
          SELECT max(other.valid_from)
          FROM user_versions AS other
          WHERE other.user_id = wanted_user_id
            AND other.valid_from < seen_from
            AND all_settings(other.settings, other.active) ->> wanted_setting_key
                IS DISTINCT FROM seen_value
      ), '-infinity');
END;

COMMENT ON FUNCTION setting_seen_since IS
    'Since when the profile was seen with the value of a setting in the version that begins at seen_from';
