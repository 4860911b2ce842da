-- users_not_seen_recently_as_of(now()), for tools that can not call a function.
CREATE OR REPLACE VIEW users_not_seen_recently AS
SELECT * FROM users_not_seen_recently_as_of(now());

COMMENT ON VIEW users_not_seen_recently IS 'users_not_seen_recently_as_of, now';
COMMENT ON COLUMN users_not_seen_recently.user_id IS 'The user';
COMMENT ON COLUMN users_not_seen_recently.name IS 'First and last name';
COMMENT ON COLUMN users_not_seen_recently.profile_age IS 'Time since Gong last returned the user';
COMMENT ON COLUMN users_not_seen_recently.history_age IS
    'Time since history_covers_until; null: the history was never fetched';
COMMENT ON COLUMN users_not_seen_recently.why IS 'Each reason, in words';
COMMENT ON COLUMN users_not_seen_recently.last_seen_at IS 'Start of the last request that returned the user';
COMMENT ON COLUMN users_not_seen_recently.history_fetched_at IS
    'Start of the last request that returned the history';
COMMENT ON COLUMN users_not_seen_recently.history_covers_until IS 'Until when the history is complete';
COMMENT ON COLUMN users_not_seen_recently.is_known IS 'Always true';
