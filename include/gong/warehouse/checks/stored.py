"""Errors: stored data differs from Gong's responses."""

from sqlalchemy import text

from include.gong.warehouse.checks.check import Check
from include.gong.warehouse.periods import DERIVED_AND_STORED

CHECKS = (
    Check(
        "users_stored",
        "error",
        "{found} users of the newest listing are not stored",
        text("""
            SELECT listing.users
                   - (SELECT count(*) FROM user_sync_state
                      WHERE CASE WHEN listing.with_avatars THEN listed_with_avatars_at ELSE listed_at END
                            >= listing.started_at)
                   - (SELECT count(*) FROM erasures
                      WHERE greatest(listed_at, requested_at) >= listing.started_at)
                   - coalesce((SELECT (anomalies ->> 'lifted_erasure')::bigint FROM sync_runs AS run
                               WHERE (run.dag_id, run.run_id) = (listing.dag_id, listing.run_id)), 0)
            FROM listings AS listing
            ORDER BY started_at DESC LIMIT 1
        """),
    ),
    Check(
        "keys_enforced",
        "error",
        "{found} of the keys that the database should enforce are missing",
        text("""
            SELECT count(*)
            FROM unnest(ARRAY[
                'user_sync_state_pkey', 'user_settings_history_pkey', 'user_versions_pkey',
                'user_versions_current', 'user_versions_apart_insert', 'user_versions_apart_update',
                'finding_periods_pkey', 'finding_periods_open'
            ]) AS needed (name)
            WHERE NOT EXISTS (
                SELECT FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid
                WHERE relnamespace = current_schema()::regnamespace AND relname = needed.name AND indisvalid)
              AND NOT EXISTS (
                SELECT FROM pg_trigger
                WHERE tgrelid = 'user_versions'::regclass AND tgname = needed.name
                  AND tgenabled IN ('O', 'A'))
        """),
    ),
    Check(
        "change_keys_unique",
        "error",
        "{found} changes of sampled users are stored twice",
        text("""
            SELECT count(*)
            FROM (SELECT FROM user_settings_history WHERE user_id = ANY (CAST(:sample AS text[]))
                  GROUP BY change_key HAVING count(*) > 1) AS twice
        """),
    ),
    Check(
        "versions_match",
        "error",
        "{found} users have no current version, several, or one that ends otherwise than with their deletion",
        text("""
            SELECT count(*)
            FROM (SELECT user_id, count(*) AS number, min(valid_to) AS deleted_at
                  FROM user_versions WHERE is_current GROUP BY user_id) AS version
            FULL JOIN (SELECT user_id, count(*) AS number, min(deleted_at) AS deleted_at
                       FROM user_sync_state GROUP BY user_id) AS state USING (user_id)
            WHERE version.number IS DISTINCT FROM 1
               OR state.number IS DISTINCT FROM 1
               OR version.deleted_at IS DISTINCT FROM state.deleted_at
        """),
    ),
    Check(
        "versions_apart",
        "error",
        "{found} versions of users overlap, or are empty",
        text("""
            SELECT count(*)
            FROM (SELECT valid_from, valid_to,
                         lag(coalesce(valid_to, 'infinity')) OVER (PARTITION BY user_id ORDER BY valid_from)
                             AS before_until
                  FROM user_versions) AS version
            WHERE valid_from < before_until OR valid_from >= valid_to
        """),
    ),
    Check(
        "findings_apart",
        "error",
        "{found} periods of findings overlap, or are of users who are not stored",
        text("""
            SELECT count(*)
            FROM (SELECT user_id, opened_at,
                         lag(coalesce(resolved_at, 'infinity')) OVER (PARTITION BY user_id, kind
                                                                      ORDER BY opened_at) AS before_until
                  FROM finding_periods) AS period
            WHERE opened_at < before_until
               OR NOT EXISTS (SELECT FROM user_sync_state AS state WHERE state.user_id = period.user_id)
        """),
    ),
    Check(
        "periods_derived",
        "error",
        "{found} setting periods, or settings in effect, of sampled users differ from those derived again",
        text(f"""
            WITH {DERIVED_AND_STORED.replace(":ids", ":sample")}
            SELECT (SELECT count(*) FROM (TABLE wrong UNION ALL TABLE missing) AS different)
                   + (SELECT count(*)
                      FROM user_sync_state
                      WHERE user_id = ANY (CAST(:sample AS text[])) AND deleted_at IS NULL
                        AND settings_by_history IS DISTINCT FROM derived_settings_by_history(user_id))
        """),  # noqa: S608 (constants)
    ),
)
