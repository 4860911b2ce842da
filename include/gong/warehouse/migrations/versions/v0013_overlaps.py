"""Versions that can't overlap, refused by a trigger: the index that did it took most of a version's cost."""

from include.gong.warehouse import ddl

revision = "0013"
down_revision = "0012"

# Once a statement, whatever it writes: by the primary key, one look for each version written. The table is
# named when it runs, for a schema can get another name. Two loads at once are kept apart by their users' rows
# of user_marks, which whoever writes versions holds.
REFUSE = """
    CREATE FUNCTION refuse_overlapping_versions() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp SET enable_seqscan TO off
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
    $$
"""


def upgrade() -> None:
    ddl.run("ALTER TABLE user_versions DROP CONSTRAINT user_versions_never_overlap")
    ddl.run(REFUSE)
    about = "A trigger: no two versions of a user overlap"
    ddl.run(f"COMMENT ON FUNCTION refuse_overlapping_versions IS '{about}'")
    for event in ("insert", "update"):
        ddl.run(f"""
            CREATE TRIGGER user_versions_apart_{event} AFTER {event} ON user_versions
            REFERENCING NEW TABLE AS written
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_overlapping_versions()
        """)
