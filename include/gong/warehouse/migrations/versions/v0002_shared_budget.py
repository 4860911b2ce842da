"""Whose history is due, why it was planned, what a run left, and how far an unfinished listing came."""

from include.gong.warehouse import ddl

revision = "0002"
down_revision = "0001"

COLUMNS = [
    (
        "user_marks",
        "history_due_since",
        "timestamptz",
        "Last answer that showed another setting or active flag; null once a history asked later is here",
    ),
    (
        "history_plan",
        "reason",
        "text",
        "Why: never (fetched), changed (settings or active flag), or oldest",
    ),
    ("sync_runs", "histories_owed", "integer NOT NULL DEFAULT 0", "Users whose history was owed"),
    (
        "sync_runs",
        "histories_left",
        "integer",
        "Of these, still owed when the run ended: the day's calls were used up, or kept for others",
    ),
    ("sync_runs", "left_covered_by", "date", "By when daily runs will have covered them at the latest"),
    ("sync_runs", "calls_left", "integer", "Calls of the day left when the run ended; null: no limit"),
]

TABLES = {
    "listing_progress": (
        "How far a run's listing came: stored with each page, gone when its histories are planned",
        [
            ("dag_id", "text NOT NULL", "Airflow's dag_id"),
            ("run_id", "text NOT NULL", "Airflow's run_id"),
            ("cursor", "text", "Where the next page is; null after the last one"),
            ("started_at", "timestamptz NOT NULL", "Start of the listing's first request"),
            ("gong_time", "timestamptz NOT NULL", "The same moment on Gong's clock"),
            ("pages", "integer NOT NULL", "Pages stored so far"),
            ("rejected", "integer NOT NULL", "Records so far that are no users"),
            ("totals", "integer[] NOT NULL", "Each count of users that Gong said"),
        ],
        "PRIMARY KEY (dag_id, run_id)",
    ),
    "history_claims": (
        "Whose history a run asks for at this moment: other runs leave them to it for a while",
        [
            ("user_id", "text PRIMARY KEY", "The user"),
            ("dag_id", "text NOT NULL", "Airflow's dag_id"),
            ("run_id", "text NOT NULL", "Airflow's run_id"),
            ("claimed_at", "timestamptz NOT NULL", "When it was claimed, on the database's clock"),
        ],
        "",
    ),
    "listing_users": (
        "The users of an unfinished listing; gone when it ends",
        [
            ("dag_id", "text NOT NULL", "Airflow's dag_id"),
            ("run_id", "text NOT NULL", "Airflow's run_id"),
            ("user_id", "text NOT NULL", "The user"),
        ],
        "PRIMARY KEY (dag_id, run_id, user_id)",
    ),
}

VIEWS = """
    DROP VIEW owed_histories;
    CREATE VIEW owed_histories AS
    SELECT run.dag_id, run.run_id, user_id, last_seen_at, history_fetched_at, history_due_since
    FROM sync_runs AS run
    CROSS JOIN LATERAL (SELECT (run.day + 1)::timestamp AT TIME ZONE 'UTC' AS day_end) AS about
    CROSS JOIN user_marks
    WHERE CASE
            WHEN day_end <= histories_since THEN coalesce(history_covers_until < day_end, true)
            ELSE coalesce(history_fetched_at < histories_since, true)
          END
      AND coalesce(history_failed_at < failures_since, true)
      AND coalesce(history_gone_at < failures_since, true);
    COMMENT ON VIEW owed_histories IS 'Whose history each run has still to fetch, of all users';
    COMMENT ON COLUMN owed_histories.dag_id IS 'Airflow''s dag_id';
    COMMENT ON COLUMN owed_histories.run_id IS 'Airflow''s run_id';
    COMMENT ON COLUMN owed_histories.user_id IS 'The user';
    COMMENT ON COLUMN owed_histories.last_seen_at IS 'When he was last answered';
    COMMENT ON COLUMN owed_histories.history_fetched_at IS 'When his history was last fetched';
    COMMENT ON COLUMN owed_histories.history_due_since IS 'When another setting or active flag was seen';
"""

RUNS = """
    ALTER TABLE sync_runs DROP CONSTRAINT sync_runs_history_check;
    ALTER TABLE sync_runs ADD CONSTRAINT sync_runs_history_check
        CHECK (history IN ('auto', 'all', 'changed', 'none'));
    COMMENT ON COLUMN sync_runs.history IS
        'Which histories it fetches: auto (by the day''s budget), all, changed or none';
    COMMENT ON COLUMN sync_runs.histories_planned IS 'Of these, within the day''s budget of calls';
"""


def upgrade() -> None:
    for table, column, definition, meaning in COLUMNS:
        ddl.add_columns(table, [(column, definition, meaning)])
    for table, (about, columns, key) in TABLES.items():
        ddl.create_table(table, about, columns, [key] if key else [])
    ddl.run(VIEWS)
    ddl.run(RUNS)
