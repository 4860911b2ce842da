-- The past of each setting; derived from the changes, and stored because all reports read it.
CREATE TABLE setting_periods (
    user_id     text        NOT NULL,
    setting_key text        NOT NULL,
    value       text,
    valid_from  timestamptz NOT NULL,
    valid_to    timestamptz,
    provenance  text,
    CHECK (valid_from < valid_to)
);

-- By a hash: a setting_key may be longer than the 2,704 bytes that an index row holds.
CREATE UNIQUE INDEX setting_periods_once
    ON setting_periods (user_id, valid_from, hashtextextended(setting_key, 0));
-- One row a user, whose other periods are on other pages.
CREATE INDEX setting_periods_active
    ON setting_periods (user_id) WHERE setting_key = 'active' AND valid_to IS NULL;

COMMENT ON TABLE setting_periods IS
    'Each setting of each user over time, from its history; each load brings it up to date';
COMMENT ON COLUMN setting_periods.user_id IS 'The user';
COMMENT ON COLUMN setting_periods.setting_key IS
    'The setting''s one name; active is the user''s own active flag';
COMMENT ON COLUMN setting_periods.value IS 'Its value; a boolean is true or false; null: not known';
COMMENT ON COLUMN setting_periods.valid_from IS 'From when';
COMMENT ON COLUMN setting_periods.valid_to IS 'Until when; null: the history has no change since';
COMMENT ON COLUMN setting_periods.provenance IS
    'How the value is known: changed (by a change), previous (the first change''s previous value), inferred '
    '(the opposite of a switch''s first value; the value first seen, if it never changed); null: unknown';
