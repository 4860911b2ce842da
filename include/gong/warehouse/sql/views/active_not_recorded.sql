-- Who is active and not recorded, and which setting is why.
CREATE OR REPLACE VIEW active_not_recorded AS
SELECT user_id, name, email_address, title, manager_id, manager_name, since, why, changed_by, first_seen_at
FROM findings
WHERE kind = 'active_not_recorded';

COMMENT ON VIEW active_not_recorded IS
    'Users who are active, but in effect not recorded: findings of this kind; by manager: ORDER BY manager_name';
COMMENT ON COLUMN active_not_recorded.user_id IS 'The user';
COMMENT ON COLUMN active_not_recorded.name IS 'First and last name';
COMMENT ON COLUMN active_not_recorded.email_address IS 'E-mail address';
COMMENT ON COLUMN active_not_recorded.title IS 'Job title';
COMMENT ON COLUMN active_not_recorded.manager_id IS 'user_id of the manager';
COMMENT ON COLUMN active_not_recorded.manager_name IS 'The manager''s name; null: none, or no user stored here';
COMMENT ON COLUMN active_not_recorded.since IS 'As in findings';
COMMENT ON COLUMN active_not_recorded.why IS 'As in findings';
COMMENT ON COLUMN active_not_recorded.changed_by IS 'As in findings';
COMMENT ON COLUMN active_not_recorded.first_seen_at IS 'As in findings';
