-- Gong writes booleans as true, True and TRUE.
CREATE OR REPLACE FUNCTION canonical_value(value text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN lower(value) IN ('true', 'false') THEN lower(value) ELSE value END;
END;

COMMENT ON FUNCTION canonical_value IS 'A setting''s value with booleans in lower case';
