-- The past of each setting, for all reports.
CREATE OR REPLACE VIEW setting_periods AS
SELECT user_id, setting_key, value, valid_from, valid_to, provenance
FROM changed_setting_periods
UNION ALL
SELECT user_id, setting_key, value, valid_from, NULL, provenance
FROM unchanged_settings;

COMMENT ON VIEW setting_periods IS
    'Each setting of each user over time, from its history; each load brings it up to date';
COMMENT ON COLUMN setting_periods.user_id IS 'The user';
COMMENT ON COLUMN setting_periods.setting_key IS
    'The setting''s one name; active is the user''s own active flag';
COMMENT ON COLUMN setting_periods.value IS 'Its value; a boolean is true or false; null: not known';
COMMENT ON COLUMN setting_periods.valid_from IS 'From when';
COMMENT ON COLUMN setting_periods.valid_to IS 'Until when; null: the history has no change since';
COMMENT ON COLUMN setting_periods.provenance IS
    'How the value is known: changed (by a change), previous (the first change''s previous value), inferred '
    '(the opposite of a switch''s first value; the value first seen, if it never changed); null: unknown';
