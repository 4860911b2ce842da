-- A setting's name in a sentence.
CREATE OR REPLACE FUNCTION setting_label(setting_key text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT upper(left(setting_key, 1)) || lower(regexp_replace(substr(setting_key, 2), '([A-Z])', ' \1', 'g'));
END;

COMMENT ON FUNCTION setting_label IS 'webConferencesRecorded as: Web conferences recorded';
