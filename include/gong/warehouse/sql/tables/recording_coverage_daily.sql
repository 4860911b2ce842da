-- Charts and past days read one row a day and setting instead of all periods.
CREATE TABLE recording_coverage_daily (
    day           date        NOT NULL,
    setting_key   text        NOT NULL,
    users_on      integer     NOT NULL,
    users_off     integer     NOT NULL,
    users_unknown integer     NOT NULL,
    joined        integer     NOT NULL,
    deleted       integer     NOT NULL,
    changes       integer     NOT NULL,
    complete      boolean     NOT NULL,
    computed_at   timestamptz NOT NULL,
    PRIMARY KEY (day, setting_key)
);

COMMENT ON TABLE recording_coverage_daily IS
    'How many users were recorded, and had each switch on or off, at the end of each day that is over';
COMMENT ON COLUMN recording_coverage_daily.day IS 'The UTC day; a value on it is the one at its end';
COMMENT ON COLUMN recording_coverage_daily.setting_key IS
    'The switch; active is the user''s own active flag. is_active and is_recorded are no switches of Gong: '
    'active, and recorded, by the settings in effect, as user_states_as_of has it';
COMMENT ON COLUMN recording_coverage_daily.users_on IS
    'Users with the value true; of is_active and is_recorded: users who were so';
COMMENT ON COLUMN recording_coverage_daily.users_off IS
    'Users with the value false; of is_active and is_recorded: users who were not';
COMMENT ON COLUMN recording_coverage_daily.users_unknown IS
    'The other users of that day: not known, or, of a switch, known only until before';
COMMENT ON COLUMN recording_coverage_daily.joined IS 'Users created in Gong that day (of any setting)';
COMMENT ON COLUMN recording_coverage_daily.deleted IS 'Users deleted in Gong that day (of any setting)';
COMMENT ON COLUMN recording_coverage_daily.changes IS
    'Changes of this setting that day; of is_active and is_recorded: of the settings that decide it';
COMMENT ON COLUMN recording_coverage_daily.complete IS
    'Whether everyone was listed after the day''s end and every history covers it, failing ones aside';
COMMENT ON COLUMN recording_coverage_daily.computed_at IS 'When this row was computed';
