-- setting_conflicts_as_of, for tools that can not call a function.
CREATE OR REPLACE VIEW setting_conflicts AS
SELECT * FROM setting_conflicts_as_of('infinity');

COMMENT ON VIEW setting_conflicts IS 'setting_conflicts_as_of, now';
COMMENT ON COLUMN setting_conflicts.user_id IS 'The user';
COMMENT ON COLUMN setting_conflicts.setting_key IS 'The setting';
COMMENT ON COLUMN setting_conflicts.kind IS
    'one_instant: several values at one instant, and it is unknown which was the last; profile: the history '
    'has another value than the profile shows, and no change is recent enough to explain it';
COMMENT ON COLUMN setting_conflicts.at IS 'The instant, or since when profile and history differ';
COMMENT ON COLUMN setting_conflicts.history_value IS 'The value in the history; null: not known';
COMMENT ON COLUMN setting_conflicts.profile_value IS 'The value in the profile';
