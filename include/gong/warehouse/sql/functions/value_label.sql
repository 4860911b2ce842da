-- A setting's value in a sentence.
CREATE OR REPLACE FUNCTION value_label(value text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE lower(value) WHEN 'true' THEN 'on' WHEN 'false' THEN 'off' ELSE value END;
END;

COMMENT ON FUNCTION value_label IS 'A setting''s value as on or off; another value as it is';
