-- Who was inactive then, with data still imported.
CREATE OR REPLACE FUNCTION inactive_but_importing_as_of(moment timestamptz)
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
    WHERE kind = 'inactive_but_importing';
END;

COMMENT ON FUNCTION inactive_but_importing_as_of IS
    'Inactive users with imports on at a moment: findings_as_of of this kind
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
