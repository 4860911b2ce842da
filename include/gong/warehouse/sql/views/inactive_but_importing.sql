-- Inactive users whose data Gong still imports.
CREATE OR REPLACE VIEW inactive_but_importing AS
SELECT user_id,
       name,
       email_address,
       title,
       import_labels(emails_imported, prevent_email_import, telephony_calls_imported,
                    non_recorded_meetings_imported) AS imports,
       period.valid_from AS inactive_since,
       period.provenance
FROM user_states
LEFT JOIN LATERAL (
    SELECT valid_from, provenance
    FROM setting_periods
    WHERE setting_periods.user_id = user_states.user_id
      AND setting_key = 'active' AND value = 'false' AND valid_to IS NULL
    OFFSET 0  -- user by user
) AS period ON true
WHERE is_in_gong AND NOT active AND is_importing;

COMMENT ON VIEW inactive_but_importing IS 'Inactive users with imports that are still on';
COMMENT ON COLUMN inactive_but_importing.user_id IS 'The user';
COMMENT ON COLUMN inactive_but_importing.name IS 'First and last name';
COMMENT ON COLUMN inactive_but_importing.email_address IS 'E-mail address';
COMMENT ON COLUMN inactive_but_importing.title IS 'Job title';
COMMENT ON COLUMN inactive_but_importing.imports IS 'Which imports are on: e-mails, calls, meetings';
COMMENT ON COLUMN inactive_but_importing.inactive_since IS
    'Since when the user is inactive, from the history; null: not known';
COMMENT ON COLUMN inactive_but_importing.provenance IS
    'How the history knows the value, as in setting_periods';
