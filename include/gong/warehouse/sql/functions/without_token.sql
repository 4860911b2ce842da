-- The one place that masks the token of a consent page.
CREATE OR REPLACE FUNCTION without_token(url text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT regexp_replace(url, '([?&]tkn=)[^&#]*', '\1***');
END;

COMMENT ON FUNCTION without_token IS 'A consent page''s address with its token, which rotates and is secret, as ***';
