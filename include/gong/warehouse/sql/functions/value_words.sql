-- A setting's value in a sentence.
CREATE OR REPLACE FUNCTION value_words(value text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE lower(value) WHEN 'true' THEN 'on' WHEN 'false' THEN 'off' ELSE value END;
END;

COMMENT ON FUNCTION value_words IS 'A setting''s value as on or off; another value as it is';
