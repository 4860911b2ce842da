-- What changes daily, or is no fact about a user, is apart from the versions. The columns that each run updates
-- come first: Postgres logs all that stands between the first and the last changed one.
CREATE TABLE user_sync_state (
    user_id                 text        NOT NULL,
    first_seen_at           timestamptz NOT NULL,
    last_seen_at            timestamptz NOT NULL,
    listed_at               timestamptz,
    listed_with_avatars_at  timestamptz,
    history_fetched_at      timestamptz,
    history_covers_until    timestamptz,
    history_failed_at       timestamptz,
    history_failure         text,
    history_not_found_at    timestamptz,
    history_pending_since   timestamptz,
    first_settings          jsonb,
    flagged_at              timestamptz,
    verified_at             timestamptz,
    deleted_at              timestamptz,
    settings_by_history     jsonb,
    consent_page_with_token text,
    extra                   jsonb       NOT NULL DEFAULT '{}',
    PRIMARY KEY (user_id),
    CONSTRAINT user_sync_state_deleted_unseen CHECK (last_seen_at < deleted_at),
    CONSTRAINT user_sync_state_flagged_first CHECK (verified_at IS NULL OR flagged_at IS NOT NULL)
) WITH (fillfactor = 45);

CREATE INDEX user_sync_state_first_seen_at ON user_sync_state (first_seen_at);
CREATE INDEX user_sync_state_deleted_at ON user_sync_state (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX user_sync_state_flagged ON user_sync_state (user_id) WHERE flagged_at IS NOT NULL;

COMMENT ON TABLE user_sync_state IS
    'When each user and their history were seen; a table of its own because it changes daily';
COMMENT ON COLUMN user_sync_state.user_id IS 'The user';
COMMENT ON COLUMN user_sync_state.first_seen_at IS 'Start of the first request that returned this user';
COMMENT ON COLUMN user_sync_state.last_seen_at IS 'Start of the last request that returned this user';
COMMENT ON COLUMN user_sync_state.listed_at IS
    'Start of the last request of a list of all users that returned this user';
COMMENT ON COLUMN user_sync_state.listed_with_avatars_at IS
    'The same of lists with avatars, which have synthetic users too';
COMMENT ON COLUMN user_sync_state.history_fetched_at IS
    'Start of the last request that returned the settings history';
COMMENT ON COLUMN user_sync_state.history_covers_until IS
    'Until when the settings history is known to be complete';
COMMENT ON COLUMN user_sync_state.history_failed_at IS
    'Start of the last history request that failed, null after one that succeeded';
COMMENT ON COLUMN user_sync_state.history_failure IS 'Why it failed';
COMMENT ON COLUMN user_sync_state.history_not_found_at IS
    'Start of the last history request for which Gong had no such user';
COMMENT ON COLUMN user_sync_state.history_pending_since IS
    'Last response with another setting or active flag; null once a history requested later is stored';
COMMENT ON COLUMN user_sync_state.first_settings IS
    'Each setting''s value, and the active flag among them, in the first response that had one';
COMMENT ON COLUMN user_sync_state.flagged_at IS
    'Start of the last listing of everyone that lacked the user, a deletion candidate until seen or deleted';
COMMENT ON COLUMN user_sync_state.verified_at IS
    'Start of the request that verified that Gong has no such user';
COMMENT ON COLUMN user_sync_state.deleted_at IS
    'verified_at of a user who is deleted in Gong; null: in Gong, also after coming back';
COMMENT ON COLUMN user_sync_state.settings_by_history IS
    'Settings in effect today that the profile shows otherwise, by the history; null: none, as for nearly all';
COMMENT ON COLUMN user_sync_state.consent_page_with_token IS
    'Address of the consent page with its token, which is secret and rotates; null: it has none';
COMMENT ON COLUMN user_sync_state.extra IS 'Every returned field that has no column of its own';
