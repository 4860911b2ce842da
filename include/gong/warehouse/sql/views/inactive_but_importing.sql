-- Inactive users whose data Gong still imports.
CREATE OR REPLACE VIEW inactive_but_importing AS
SELECT user_id, name, email_address, title, manager_id, manager_name, since, why, changed_by, first_seen_at
FROM findings
WHERE kind = 'inactive_but_importing';

COMMENT ON VIEW inactive_but_importing IS
    'Inactive users with imports that are still on: findings of this kind';
COMMENT ON COLUMN inactive_but_importing.user_id IS 'The user';
COMMENT ON COLUMN inactive_but_importing.name IS 'First and last name';
COMMENT ON COLUMN inactive_but_importing.email_address IS 'E-mail address';
COMMENT ON COLUMN inactive_but_importing.title IS 'Job title';
COMMENT ON COLUMN inactive_but_importing.manager_id IS 'user_id of the manager';
COMMENT ON COLUMN inactive_but_importing.manager_name IS 'The manager''s name; null: none, or no user stored here';
COMMENT ON COLUMN inactive_but_importing.since IS 'As in findings';
COMMENT ON COLUMN inactive_but_importing.why IS 'As in findings';
COMMENT ON COLUMN inactive_but_importing.changed_by IS 'As in findings';
COMMENT ON COLUMN inactive_but_importing.first_seen_at IS 'As in findings';
