-- The one definition of a pending history, for plans, claims and checks.
CREATE OR REPLACE VIEW history_backlog AS
SELECT run.dag_id, run.run_id, user_id, last_seen_at, history_fetched_at, history_pending_since
FROM sync_runs AS run
CROSS JOIN LATERAL (
    SELECT (run.day + 1)::timestamp AT TIME ZONE 'UTC'
) AS about (day_end)
CROSS JOIN user_sync_state
-- A history is pending until it covers the run's day; if that is not over, until it was fetched in the run.
WHERE CASE WHEN day_end <= histories_since THEN coalesce(history_covers_until < day_end, true)
           ELSE coalesce(history_fetched_at < histories_since, true) END
  AND coalesce(history_failed_at < failures_since, true)
  AND coalesce(history_not_found_at < failures_since, true);

COMMENT ON VIEW history_backlog IS 'Users whose history each run has still to fetch';
COMMENT ON COLUMN history_backlog.dag_id IS 'Airflow''s dag_id';
COMMENT ON COLUMN history_backlog.run_id IS 'Airflow''s run_id';
COMMENT ON COLUMN history_backlog.user_id IS 'The user';
COMMENT ON COLUMN history_backlog.last_seen_at IS 'When Gong last returned the user';
COMMENT ON COLUMN history_backlog.history_fetched_at IS 'When the history was last fetched';
COMMENT ON COLUMN history_backlog.history_pending_since IS 'When another setting or active flag was seen';
