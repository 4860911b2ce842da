-- A trigger that stands in for an exclusion constraint, which would need an extension.
CREATE OR REPLACE FUNCTION refuse_overlapping_versions()
RETURNS trigger
LANGUAGE plpgsql
SET search_path TO 'pg_catalog', 'pg_temp'
SET enable_seqscan TO 'off'
AS $$
DECLARE
    overlap boolean;
BEGIN
    EXECUTE
        'SELECT EXISTS (
            SELECT FROM written
            CROSS JOIN LATERAL (
                SELECT FROM ' || TG_RELID::regclass || ' AS other
                WHERE other.user_id = written.user_id
                  AND other.valid_from <> written.valid_from
                  AND other.valid_from < coalesce(written.valid_to, ''infinity'')
                  AND coalesce(other.valid_to, ''infinity'') > written.valid_from
                LIMIT 1
            ) AS each)'
        INTO overlap;
    IF overlap THEN
        RAISE exclusion_violation USING MESSAGE = 'versions of a user would overlap';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER user_versions_apart_insert AFTER INSERT ON user_versions
REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_overlapping_versions();

CREATE OR REPLACE TRIGGER user_versions_apart_update AFTER UPDATE ON user_versions
REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_overlapping_versions();

COMMENT ON FUNCTION refuse_overlapping_versions IS 'A trigger: no two versions of a user overlap';
