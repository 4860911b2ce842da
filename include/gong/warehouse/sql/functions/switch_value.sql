-- The one place that reads a setting as true or false.
CREATE OR REPLACE FUNCTION switch_value(value text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    -- lower() takes longer than all the rest, and nearly no value needs it.
    SELECT CASE value
        WHEN 'true' THEN true
        WHEN 'false' THEN false
        ELSE CASE lower(value) WHEN 'true' THEN true WHEN 'false' THEN false END END;
END;

COMMENT ON FUNCTION switch_value IS
    'A setting''s value as a boolean; null where it is neither true nor false';
