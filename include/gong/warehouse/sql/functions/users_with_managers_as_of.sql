-- Users with the names of their managers at a moment.
CREATE OR REPLACE FUNCTION users_with_managers_as_of(moment timestamptz)
RETURNS TABLE (
    user_id               text,
    name                  text,
    email_address         text,
    title                 text,
    active                boolean,
    manager_id            text,
    manager_name          text,
    manager_email_address text,
    manager_status        text,
    is_known              boolean
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT person.user_id, person.name, person.email_address, person.title, person.active, person.manager_id,
           manager.name, manager.email_address,
           manager_status(person.manager_id,
                          manager.user_id IS NOT NULL OR absent.user_id IS NOT NULL,
                          absent.user_id IS NULL, manager.active),
           -- Each profile says whether there is a consent page.
           person.has_consent_page IS NOT NULL
    FROM user_states_as_of(moment) AS person
    LEFT JOIN user_states_as_of(moment) AS manager
           ON manager.user_id = person.manager_id AND manager.has_consent_page IS NOT NULL
    LEFT JOIN absent_at(moment) AS absent ON absent.user_id = person.manager_id;
END;

COMMENT ON FUNCTION users_with_managers_as_of IS
    'Everyone in Gong at a moment, with the manager''s name, as seen then
user_id: The user
name: First and last name
email_address: E-mail address
title: Job title
active: Whether the user was active in Gong
manager_id: user_id of the manager
manager_name: The manager''s name
manager_email_address: The manager''s e-mail address
manager_status: active, inactive, deleted, or unknown: not seen then; null: no manager, or not known
is_known: Whether the user had been seen by then: before, the profile and the manager are not known';
