-- Users with the names of their managers.
CREATE OR REPLACE VIEW users_with_managers AS
SELECT person.user_id,
       person.name,
       person.email_address,
       person.title,
       person.active,
       person.manager_id,
       manager.name AS manager_name,
       manager.email_address AS manager_email_address,
       manager_status(person.manager_id, manager.user_id IS NOT NULL, manager.is_in_gong, manager.active)
           AS manager_status
FROM user_states AS person
LEFT JOIN user_states AS manager ON manager.user_id = person.manager_id
WHERE person.is_in_gong;

COMMENT ON VIEW users_with_managers IS 'Everyone in Gong today, with the manager''s name';
COMMENT ON COLUMN users_with_managers.user_id IS 'The user';
COMMENT ON COLUMN users_with_managers.name IS 'First and last name';
COMMENT ON COLUMN users_with_managers.email_address IS 'E-mail address';
COMMENT ON COLUMN users_with_managers.title IS 'Job title';
COMMENT ON COLUMN users_with_managers.active IS 'Whether the user is active in Gong';
COMMENT ON COLUMN users_with_managers.manager_id IS 'user_id of the manager';
COMMENT ON COLUMN users_with_managers.manager_name IS 'The manager''s name';
COMMENT ON COLUMN users_with_managers.manager_email_address IS 'The manager''s e-mail address';
COMMENT ON COLUMN users_with_managers.manager_status IS
    'active, inactive, deleted, or unknown: not stored here; null: no manager, or not known';
