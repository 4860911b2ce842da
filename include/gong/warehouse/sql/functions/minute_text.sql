-- An instant in a sentence.
CREATE OR REPLACE FUNCTION minute_text(at timestamptz)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT to_char(at AT TIME ZONE 'UTC', 'FMDD FMMonth YYYY HH24:MI');
END;

COMMENT ON FUNCTION minute_text IS 'An instant as: 3 March 2026 14:05, in UTC';
