-- Profiles as seen at a moment.
CREATE OR REPLACE FUNCTION users_as_of(moment timestamptz)
RETURNS TABLE (
    user_id                  text,
    email_address            text,
    first_name               text,
    last_name                text,
    title                    text,
    phone_number             text,
    extension                text,
    personal_meeting_urls    text[],
    settings                 jsonb,
    manager_id               text,
    meeting_consent_page_url text,
    spoken_languages         jsonb,
    active                   boolean,
    created                  timestamptz,
    avatar_url               text,
    trusted_email_address    text,
    email_aliases            text[],
    valid_from               timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT user_id, email_address, first_name, last_name, title, phone_number, extension,
           personal_meeting_urls, settings, manager_id, meeting_consent_page_url, spoken_languages, active,
           created, avatar_url, trusted_email_address, email_aliases, valid_from
    FROM user_versions
    WHERE valid_from <= moment AND (valid_to IS NULL OR moment < valid_to);
END;

COMMENT ON FUNCTION users_as_of IS
    'Every user as seen at a moment; none before first_seen_at
user_id: The user
email_address: as in users
first_name: as in users
last_name: as in users
title: as in users
phone_number: as in users
extension: as in users
personal_meeting_urls: as in users
settings: as in users
manager_id: as in users
meeting_consent_page_url: as in users
spoken_languages: as in users
active: as in users
created: as in users
avatar_url: as in users
trusted_email_address: as in users
email_aliases: as in users
valid_from: Since when';
