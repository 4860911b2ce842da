"""Warnings: Gong's responses are unusual, or old."""

from sqlalchemy import text

from include.gong.warehouse.checks.check import Check

CHECKS = (
    Check(
        "users_counted",
        "warning",
        "Gong counts {found} users more than it listed, or than could be stored",
        text("""
            SELECT CASE WHEN NOT changed_during_read THEN total_records - users END
            FROM listings ORDER BY started_at DESC LIMIT 1
        """),
    ),
    Check(
        "users_shrunk",
        "warning",
        "The newest listing has {found}% fewer users than the one before",
        text("""
            SELECT CASE WHEN before.users - newest.users > 10
                        THEN 100.0 * (before.users - newest.users) / before.users END
            FROM (SELECT * FROM listings ORDER BY started_at DESC LIMIT 1) AS newest
            CROSS JOIN LATERAL (
                SELECT users FROM listings AS earlier
                WHERE earlier.with_avatars = newest.with_avatars AND earlier.started_at < newest.started_at
                ORDER BY started_at DESC LIMIT 1
            ) AS before
        """),
        allowed=20,
    ),
    Check(
        "changes_stored",
        "warning",
        "{found} changes of settings are stored",
        text("SELECT count(*) FROM user_settings_history"),
        allowed=None,
    ),
    Check(
        "changes_shrunk",
        "warning",
        "{found}% of the changes of settings are missing since the check before",
        text("""
            SELECT 100.0 * (before.found - now_.found) / nullif(before.found, 0)
            FROM check_results AS now_
            CROSS JOIN LATERAL (
                SELECT found FROM check_results AS earlier
                WHERE earlier.check_name = 'changes_stored' AND earlier.checked_at < now_.checked_at
                ORDER BY checked_at DESC LIMIT 1
            ) AS before
            WHERE (dag_id, run_id, check_name) = (:dag_id, :run_id, 'changes_stored')
        """),
        allowed=20,
    ),
    Check(
        "conflicts_few",
        "warning",
        "The settings histories of {found}% of sampled users contradict themselves or the profile",
        text("""
            SELECT 100.0 * count(DISTINCT user_id) / nullif(cardinality(CAST(:sample AS text[])), 0)
            FROM setting_conflicts WHERE user_id = ANY (CAST(:sample AS text[]))
        """),
        allowed=1,
    ),
    Check(
        "settings_known",
        "warning",
        "{found}% of the present settings of sampled users are not known by their histories",
        text("""
            SELECT 100.0 * count(*) FILTER (WHERE provenance IS NULL) / nullif(count(*), 0)
            FROM setting_periods WHERE user_id = ANY (CAST(:sample AS text[])) AND valid_to IS NULL
        """),
        allowed=20,
    ),
    Check(
        "changes_not_ahead",
        "warning",
        "{found} changes of settings are later than now",
        text("""
            SELECT count(*) FROM user_settings_history
            WHERE changed_at > CAST(:at AS timestamptz) + interval '5 minutes'
        """),
    ),
    Check(
        "sync_state_not_ahead",
        "warning",
        "{found} users were seen later than now: a clock is ahead, and new responses are taken for old ones",
        text("""
            SELECT count(*) FROM user_sync_state
            WHERE greatest(last_seen_at, history_fetched_at, deleted_at)
                  > CAST(:at AS timestamptz) + interval '5 minutes'
        """),
    ),
    Check(
        "listing_fresh",
        "warning",
        "The newest listing of all users is {found} days old",
        text("""
            SELECT extract(epoch FROM CAST(:at AS timestamptz) - max(started_at)) / 86400 FROM listings
        """),
        allowed=7,
    ),
    Check(
        "histories_fresh",
        "warning",
        "The oldest settings history is {found} days old",
        text("""
            SELECT extract(epoch FROM CAST(:at AS timestamptz) - min(oldest)) / 86400
            FROM user_sync_state
            CROSS JOIN LATERAL (SELECT coalesce(history_fetched_at, first_seen_at)) AS each_ (oldest)
            WHERE deleted_at IS NULL AND history_failed_at IS NULL AND history_not_found_at IS NULL
        """),
        allowed=60,
    ),
    Check(
        "histories_promised",
        "warning",
        "{found} settings histories are pending that an earlier run promised by now",
        # Only runs for everyone promise all histories; users no longer listed are not requested.
        text("""
            SELECT count(*)
            FROM (SELECT * FROM sync_runs
                  WHERE scope = 'everyone' AND history IN ('auto', 'all')
                    AND backlog_eta < (CAST(:at AS timestamptz) AT TIME ZONE 'UTC')::date
                  ORDER BY backlog_eta DESC, started_at DESC LIMIT 1) AS run
            JOIN (SELECT dag_id, run_id, user_id FROM history_backlog) AS pending USING (dag_id, run_id)
            JOIN user_sync_state USING (user_id)
            WHERE first_seen_at <= run.started_at AND deleted_at IS NULL
              AND last_seen_at >= (SELECT max(started_at) FROM listings)
        """),
    ),
    Check(
        "managers_exist",
        "warning",
        "{found} users have a manager who is not in Gong",
        text("""
            SELECT count(*)
            FROM users AS person
            WHERE deleted_at IS NULL AND manager_id IS NOT NULL
              AND NOT EXISTS (SELECT FROM users AS manager
                              WHERE manager.user_id = person.manager_id AND manager.deleted_at IS NULL)
        """),
    ),
    Check(
        "managers_active",
        "warning",
        "{found} active users have an inactive manager",
        text("""
            SELECT count(*)
            FROM users AS person JOIN users AS manager ON manager.user_id = person.manager_id
            WHERE person.deleted_at IS NULL AND person.active
              AND manager.deleted_at IS NULL AND NOT manager.active
        """),
    ),
    Check(
        "managers_in_order",
        "warning",
        "{found} users are in or below a cycle of managers",
        text("""
            SELECT count(*) FROM manager_cycles('infinity')
        """),
    ),
)
