-- Who was recorded then without a consent page.
CREATE OR REPLACE FUNCTION recorded_without_consent_page_as_of(moment timestamptz)
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
    WHERE kind = 'recorded_without_consent_page';
END;

COMMENT ON FUNCTION recorded_without_consent_page_as_of IS
    'Users recorded at a moment without a consent page: findings_as_of of this kind. Consent pages have no '
    'history, so nobody before first_seen_at
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
