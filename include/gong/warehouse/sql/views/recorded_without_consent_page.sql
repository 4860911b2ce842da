-- Who is recorded and has no consent page.
CREATE OR REPLACE VIEW recorded_without_consent_page AS
SELECT user_id, name, email_address, title, manager_id, manager_name, since, why, changed_by, first_seen_at
FROM findings
WHERE kind = 'recorded_without_consent_page';

COMMENT ON VIEW recorded_without_consent_page IS
    'Users recorded today without a consent page: findings of this kind';
COMMENT ON COLUMN recorded_without_consent_page.user_id IS 'The user';
COMMENT ON COLUMN recorded_without_consent_page.name IS 'First and last name';
COMMENT ON COLUMN recorded_without_consent_page.email_address IS 'E-mail address';
COMMENT ON COLUMN recorded_without_consent_page.title IS 'Job title';
COMMENT ON COLUMN recorded_without_consent_page.manager_id IS 'user_id of the manager';
COMMENT ON COLUMN recorded_without_consent_page.manager_name IS 'The manager''s name; null: none, or no user stored here';
COMMENT ON COLUMN recorded_without_consent_page.since IS 'As in findings';
COMMENT ON COLUMN recorded_without_consent_page.why IS 'As in findings';
COMMENT ON COLUMN recorded_without_consent_page.changed_by IS 'As in findings';
COMMENT ON COLUMN recorded_without_consent_page.first_seen_at IS 'As in findings';
