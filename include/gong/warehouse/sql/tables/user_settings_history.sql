-- What Gong reported about changes; never deleted, for Gong may stop returning them.
CREATE TABLE user_settings_history (
    user_id        text        NOT NULL,
    setting_name   text,
    previous_value text,
    new_value      text,
    changed_at     timestamptz,
    changed_by     text,
    setting_key    text,
    change_key     bytea       NOT NULL,
    extra          jsonb       NOT NULL DEFAULT '{}',
    first_seen_at  timestamptz NOT NULL,
    place          integer,
    PRIMARY KEY (user_id, change_key)
);

CREATE INDEX user_settings_history_changed_at ON user_settings_history (changed_at);

COMMENT ON TABLE user_settings_history IS
    'Every change of every setting, kept also when Gong no longer returns it';
COMMENT ON COLUMN user_settings_history.user_id IS 'The user whose history has the change';
COMMENT ON COLUMN user_settings_history.setting_name IS 'The setting as returned';
COMMENT ON COLUMN user_settings_history.previous_value IS 'Value before the change';
COMMENT ON COLUMN user_settings_history.new_value IS
    'Value after the change; a boolean is ''true'' or ''false''';
COMMENT ON COLUMN user_settings_history.changed_at IS 'When the setting was changed';
COMMENT ON COLUMN user_settings_history.changed_by IS 'Who changed it, as returned';
COMMENT ON COLUMN user_settings_history.setting_key IS
    'The setting''s one name, whatever the response calls it';
COMMENT ON COLUMN user_settings_history.change_key IS 'SHA-256 that identifies the change in every response';
COMMENT ON COLUMN user_settings_history.extra IS 'Every returned field that has no column of its own';
COMMENT ON COLUMN user_settings_history.first_seen_at IS
    'Start of the first request that returned this change';
COMMENT ON COLUMN user_settings_history.place IS
    'Its position among the changes of one setting at one instant, first to last; null where the response '
    'does not show it';
