-- Who was active then and not recorded.
CREATE OR REPLACE FUNCTION active_not_recorded_as_of(moment timestamptz)
RETURNS TABLE (
    user_id       text,
    name          text,
    email_address text,
    title         text,
    manager_id    text,
    manager_name  text,
    since         timestamptz,
    why           text,
    changed_by    text,
    first_seen_at timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT user_id, name, email_address, title, manager_id, manager_name, since, why, changed_by,
           first_seen_at
    FROM findings_as_of(moment)
    WHERE kind = 'active_not_recorded';
END;

COMMENT ON FUNCTION active_not_recorded_as_of IS
    'Users active, but in effect not recorded, at a moment: findings_as_of of this kind
user_id: The user
name: First and last name
email_address: E-mail address
title: Job title
manager_id: user_id of the manager
manager_name: The manager''s name
since: As in findings_as_of
why: As in findings_as_of
changed_by: As in findings_as_of
first_seen_at: As in findings_as_of';
