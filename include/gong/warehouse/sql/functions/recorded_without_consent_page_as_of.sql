-- Who was recorded then without a consent page.
CREATE OR REPLACE FUNCTION recorded_without_consent_page_as_of(moment timestamptz)
RETURNS TABLE (
    user_id       text,
    name          text,
    email_address text,
    title         text
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT user_id, name, email_address, title
    FROM user_states_as_of(moment)
    WHERE is_recorded AND NOT has_consent_page;
END;

COMMENT ON FUNCTION recorded_without_consent_page_as_of IS
    'Users recorded at a moment without a consent page, of those seen then: consent pages have no history, '
    'so nobody before first_seen_at
user_id: The user
name: First and last name
email_address: E-mail address
title: Job title';
