-- What Gong last returned of each user; the token of a consent page only for logins that may see it.
CREATE OR REPLACE VIEW users AS
SELECT user_id,
       email_address,
       first_name,
       last_name,
       title,
       phone_number,
       extension,
       personal_meeting_urls,
       settings,
       manager_id,
       CASE WHEN has_column_privilege('user_sync_state'::regclass, 'consent_page_with_token', 'SELECT')
            THEN coalesce(consent_page_with_token, meeting_consent_page_url)
            ELSE meeting_consent_page_url END AS meeting_consent_page_url,
       spoken_languages,
       active,
       created,
       avatar_url,
       trusted_email_address,
       email_aliases,
       extra,
       first_seen_at,
       last_seen_at,
       history_fetched_at,
       history_covers_until,
       deleted_at
FROM user_versions
JOIN user_sync_state USING (user_id)
WHERE is_current;

COMMENT ON VIEW users IS 'Every user as last returned by Gong, deleted users too';
COMMENT ON COLUMN users.user_id IS 'Gong''s id of the user, exactly as returned';
COMMENT ON COLUMN users.email_address IS 'E-mail address';
COMMENT ON COLUMN users.first_name IS 'First name';
COMMENT ON COLUMN users.last_name IS 'Last name';
COMMENT ON COLUMN users.title IS 'Job title';
COMMENT ON COLUMN users.phone_number IS 'Phone number';
COMMENT ON COLUMN users.extension IS 'Phone extension';
COMMENT ON COLUMN users.personal_meeting_urls IS 'Addresses of the user''s personal meeting rooms';
COMMENT ON COLUMN users.settings IS 'The user''s settings as returned';
COMMENT ON COLUMN users.manager_id IS 'user_id of the manager, who may not be stored here';
COMMENT ON COLUMN users.meeting_consent_page_url IS 'Address of the consent page, its token as ***';
COMMENT ON COLUMN users.spoken_languages IS 'Languages spoken, as returned: language and whether primary';
COMMENT ON COLUMN users.active IS 'Whether the user is active in Gong';
COMMENT ON COLUMN users.created IS 'When the user was created in Gong';
COMMENT ON COLUMN users.avatar_url IS 'Address of the avatar, from the last request that asked for avatars';
COMMENT ON COLUMN users.trusted_email_address IS 'Trusted e-mail address';
COMMENT ON COLUMN users.email_aliases IS 'Other e-mail addresses of the user';
COMMENT ON COLUMN users.extra IS 'Every returned field that has no column of its own';
COMMENT ON COLUMN users.first_seen_at IS 'Start of the first request that returned this user';
COMMENT ON COLUMN users.last_seen_at IS 'Start of the last request that returned this user';
COMMENT ON COLUMN users.history_fetched_at IS 'Start of the last request that returned the settings history';
COMMENT ON COLUMN users.history_covers_until IS 'Until when the settings history is known to be complete';
COMMENT ON COLUMN users.deleted_at IS
    'Start of the request that verified that Gong has no such user; null while the user is in Gong';
