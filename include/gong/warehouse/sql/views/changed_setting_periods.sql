-- A view of its own, because the planner looks up one user of it by index within a join, unlike in a UNION.
CREATE OR REPLACE VIEW changed_setting_periods AS
SELECT user_id, setting_key, value, valid_from, valid_to, provenance
FROM setting_timelines
CROSS JOIN LATERAL unnest(period_values, starts, starts[2:], provenances)
    AS period (value, valid_from, valid_to, provenance);

COMMENT ON VIEW changed_setting_periods IS 'setting_periods of the settings that changed';
COMMENT ON COLUMN changed_setting_periods.user_id IS 'The user';
COMMENT ON COLUMN changed_setting_periods.setting_key IS 'The setting';
COMMENT ON COLUMN changed_setting_periods.value IS 'Its value; null: not known';
COMMENT ON COLUMN changed_setting_periods.valid_from IS 'From when';
COMMENT ON COLUMN changed_setting_periods.valid_to IS 'Until when; null: the history has no change since';
COMMENT ON COLUMN changed_setting_periods.provenance IS 'As in setting_periods';
