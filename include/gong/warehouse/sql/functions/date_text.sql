-- A day in a sentence.
CREATE OR REPLACE FUNCTION date_text(at timestamptz)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT to_char(at AT TIME ZONE 'UTC', 'FMDD FMMonth YYYY');
END;

COMMENT ON FUNCTION date_text IS 'The day of an instant as: 3 March 2026, in UTC';
