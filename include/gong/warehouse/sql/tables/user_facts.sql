-- The profile of each user with what versions leave out.
CREATE TABLE user_facts (
    user_id                  text        NOT NULL,
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
    extra                    jsonb       NOT NULL DEFAULT '{}',
    PRIMARY KEY (user_id)
);

CREATE INDEX user_facts_created ON user_facts (created);

COMMENT ON TABLE user_facts IS 'Each user as last returned by Gong; read it through the view users';
COMMENT ON COLUMN user_facts.user_id IS 'Gong''s id of the user, exactly as returned';
COMMENT ON COLUMN user_facts.email_address IS 'E-mail address';
COMMENT ON COLUMN user_facts.first_name IS 'First name';
COMMENT ON COLUMN user_facts.last_name IS 'Last name';
COMMENT ON COLUMN user_facts.title IS 'Job title';
COMMENT ON COLUMN user_facts.phone_number IS 'Phone number';
COMMENT ON COLUMN user_facts.extension IS 'Phone extension';
COMMENT ON COLUMN user_facts.personal_meeting_urls IS 'Addresses of the user''s personal meeting rooms';
COMMENT ON COLUMN user_facts.settings IS 'The user''s settings as returned';
COMMENT ON COLUMN user_facts.manager_id IS 'user_id of the manager, who may not be stored here';
COMMENT ON COLUMN user_facts.meeting_consent_page_url IS 'Address of the consent page; the tkn in it rotates';
COMMENT ON COLUMN user_facts.spoken_languages IS
    'Languages spoken, as returned: language and whether primary';
COMMENT ON COLUMN user_facts.active IS 'Whether the user is active in Gong';
COMMENT ON COLUMN user_facts.created IS 'When the user was created in Gong';
COMMENT ON COLUMN user_facts.avatar_url IS
    'Address of the avatar, from the last request that asked for avatars';
COMMENT ON COLUMN user_facts.trusted_email_address IS 'Trusted e-mail address';
COMMENT ON COLUMN user_facts.email_aliases IS 'Other e-mail addresses of the user';
COMMENT ON COLUMN user_facts.extra IS 'Every returned field that has no column of its own';
