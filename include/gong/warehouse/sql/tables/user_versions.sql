-- The profile of each user over time (SCD type 2).
CREATE TABLE user_versions (
    user_id                  text        NOT NULL,
    valid_from               timestamptz NOT NULL,
    valid_to                 timestamptz,
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
    seen_in_dag              text,
    seen_in_run              text,
    only_adds_settings       boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (user_id, valid_from),
    CHECK (valid_from < valid_to)
);

CREATE UNIQUE INDEX user_versions_open ON user_versions (user_id) WHERE valid_to IS NULL;
CREATE INDEX user_versions_valid_from ON user_versions (valid_from);
CREATE INDEX user_versions_valid_to ON user_versions (valid_to) WHERE valid_to IS NOT NULL;
-- The org chart of the page: users of a manager, and those without one. An id may be longer than the 2,704
-- bytes that an index row holds.
CREATE INDEX user_versions_manager ON user_versions (manager_id) WHERE length(manager_id) <= 200;
CREATE INDEX user_versions_no_manager
    ON user_versions (user_id) WHERE manager_id IS NULL OR length(manager_id) > 200;

COMMENT ON TABLE user_versions IS
    'Versions of each user, from first_seen_at on (SCD type 2: valid_from, valid_to, exclusive)';
COMMENT ON COLUMN user_versions.user_id IS 'The user';
COMMENT ON COLUMN user_versions.valid_from IS 'Start of the first request that returned these values';
COMMENT ON COLUMN user_versions.valid_to IS
    'Start of the request that returned others, or verified that the user is deleted; null: current';
COMMENT ON COLUMN user_versions.email_address IS 'E-mail address';
COMMENT ON COLUMN user_versions.first_name IS 'First name';
COMMENT ON COLUMN user_versions.last_name IS 'Last name';
COMMENT ON COLUMN user_versions.title IS 'Job title';
COMMENT ON COLUMN user_versions.phone_number IS 'Phone number';
COMMENT ON COLUMN user_versions.extension IS 'Phone extension';
COMMENT ON COLUMN user_versions.personal_meeting_urls IS 'Addresses of the user''s personal meeting rooms';
COMMENT ON COLUMN user_versions.settings IS 'The user''s settings as returned';
COMMENT ON COLUMN user_versions.manager_id IS 'user_id of the manager, who may not be stored here';
COMMENT ON COLUMN user_versions.meeting_consent_page_url IS 'Address of the consent page, its token as ***';
COMMENT ON COLUMN user_versions.spoken_languages IS
    'Languages spoken, as returned: language and whether primary';
COMMENT ON COLUMN user_versions.active IS 'Whether the user is active in Gong';
COMMENT ON COLUMN user_versions.created IS 'When the user was created in Gong';
COMMENT ON COLUMN user_versions.avatar_url IS
    'Address of the avatar, from the last request that asked for avatars';
COMMENT ON COLUMN user_versions.trusted_email_address IS 'Trusted e-mail address';
COMMENT ON COLUMN user_versions.email_aliases IS 'Other e-mail addresses of the user';
COMMENT ON COLUMN user_versions.seen_in_dag IS 'dag_id of the run that saw it first';
COMMENT ON COLUMN user_versions.seen_in_run IS 'run_id of that run';
COMMENT ON COLUMN user_versions.only_adds_settings IS
    'Whether it began because Gong returned a setting, or a value of one, for the first time: nothing else '
    'changed';
