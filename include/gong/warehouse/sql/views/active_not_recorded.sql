-- Who is active and not recorded, and which setting is why.
CREATE OR REPLACE VIEW active_not_recorded AS
SELECT person.user_id,
       person.name,
       person.email_address,
       person.title,
       person.manager_id,
       manager.name AS manager_name,
       not_recorded_reason(person.web_conferences_recorded, person.prevent_web_conference_recording) AS why
FROM user_states AS person
LEFT JOIN user_states AS manager ON manager.user_id = person.manager_id
WHERE person.is_in_gong AND person.active AND NOT person.is_recorded;

COMMENT ON VIEW active_not_recorded IS
    'Users who are active, but in effect not recorded; by manager: ORDER BY manager_name';
COMMENT ON COLUMN active_not_recorded.user_id IS 'The user';
COMMENT ON COLUMN active_not_recorded.name IS 'First and last name';
COMMENT ON COLUMN active_not_recorded.email_address IS 'E-mail address';
COMMENT ON COLUMN active_not_recorded.title IS 'Job title';
COMMENT ON COLUMN active_not_recorded.manager_id IS 'user_id of the manager';
COMMENT ON COLUMN active_not_recorded.manager_name IS
    'The manager''s name; null: none, or no user stored here';
COMMENT ON COLUMN active_not_recorded.why IS 'recording is off, recording is prevented, or both';
