-- The one place that makes a name of its parts.
CREATE OR REPLACE FUNCTION full_name(first_name text, last_name text)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT nullif(concat_ws(' ', first_name, last_name), '');
END;

COMMENT ON FUNCTION full_name IS 'First and last name; null where both are missing';
