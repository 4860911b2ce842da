-- Who is recorded and has no consent page.
CREATE OR REPLACE VIEW recorded_without_consent_page AS
SELECT user_id, name, email_address, title
FROM user_states
WHERE is_recorded AND NOT has_consent_page;

COMMENT ON VIEW recorded_without_consent_page IS 'Users recorded today without a consent page';
COMMENT ON COLUMN recorded_without_consent_page.user_id IS 'The user';
COMMENT ON COLUMN recorded_without_consent_page.name IS 'First and last name';
COMMENT ON COLUMN recorded_without_consent_page.email_address IS 'E-mail address';
COMMENT ON COLUMN recorded_without_consent_page.title IS 'Job title';
