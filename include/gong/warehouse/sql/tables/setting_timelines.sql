-- The past of each setting that ever changed: one row for all its periods, so that a load writes few rows and a
-- query about a moment looks it up by binary search. Derived from the changes.
CREATE TABLE setting_timelines (
    user_id       text          NOT NULL,
    setting_key   text          NOT NULL,
    starts        timestamptz[] NOT NULL,
    period_values text[]        NOT NULL,
    provenances   text[]        NOT NULL,
    CHECK (cardinality(starts) > 0
           AND cardinality(period_values) = cardinality(starts)
           AND cardinality(provenances) = cardinality(starts))
);

-- By a hash: a setting_key may be longer than the 2,704 bytes that an index row holds.
CREATE UNIQUE INDEX setting_timelines_once
    ON setting_timelines (user_id, hashtextextended(setting_key, 0));

COMMENT ON TABLE setting_timelines IS
    'The periods of each setting that changed, in order; setting_periods shows them as rows';
COMMENT ON COLUMN setting_timelines.user_id IS 'The user';
COMMENT ON COLUMN setting_timelines.setting_key IS
    'The setting''s one name; active is the user''s own active flag';
COMMENT ON COLUMN setting_timelines.starts IS
    'Start of each period, ascending; a period ends where the next one starts';
COMMENT ON COLUMN setting_timelines.period_values IS 'Value of each period; null: not known';
COMMENT ON COLUMN setting_timelines.provenances IS 'Provenance of each period, as in setting_periods';
