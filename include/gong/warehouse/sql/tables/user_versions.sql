-- The profile of each user over time (SCD type 2).
CREATE TABLE user_versions (
    version_id               bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    user_id                  text        NOT NULL,
    valid_from               timestamptz NOT NULL,
    valid_to                 timestamptz,
    is_current               boolean     NOT NULL DEFAULT true,
    is_deleted               boolean     NOT NULL DEFAULT false,
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
    loaded_at                timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, valid_from),
    CONSTRAINT user_versions_in_order CHECK (valid_from < valid_to),
    CONSTRAINT user_versions_open_or_deleted CHECK (is_current = (valid_to IS NULL) OR is_deleted),
    CONSTRAINT user_versions_deleted_at CHECK (valid_to IS NOT NULL OR NOT is_deleted)
);

CREATE UNIQUE INDEX user_versions_current ON user_versions (user_id) WHERE is_current;
CREATE INDEX user_versions_valid_from ON user_versions (valid_from);
CREATE INDEX user_versions_created ON user_versions (created) WHERE is_current;
CREATE INDEX user_versions_deleted ON user_versions (user_id, valid_to) WHERE is_deleted;
-- The org chart of the page: users of a manager, and those without one. An id may be longer than the 2,704
-- bytes that an index row holds.
CREATE INDEX user_versions_manager ON user_versions (manager_id) WHERE length(manager_id) <= 200;
CREATE INDEX user_versions_no_manager
    ON user_versions (user_id) WHERE manager_id IS NULL OR length(manager_id) > 200;

COMMENT ON TABLE user_versions IS
    'Versions of each user, from first_seen_at on (SCD type 2: valid_from, valid_to, exclusive)';
COMMENT ON COLUMN user_versions.version_id IS 'A number for each version, to join by';
COMMENT ON COLUMN user_versions.user_id IS 'The user, one row of user_sync_state';
COMMENT ON COLUMN user_versions.valid_from IS 'Start of the first request that returned these values';
COMMENT ON COLUMN user_versions.valid_to IS
    'Start of the request that returned others, or verified that the user is deleted; null: still valid';
COMMENT ON COLUMN user_versions.is_current IS
    'Whether it is the user''s last version: one a user, of deleted users too';
COMMENT ON COLUMN user_versions.is_deleted IS
    'Whether it ended because the user was deleted in Gong; a user who came back has a later version';
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
COMMENT ON COLUMN user_versions.loaded_at IS 'When it was written: the clock of the database';
