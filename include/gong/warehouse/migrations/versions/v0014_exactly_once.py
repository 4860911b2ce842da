"""What became of each planned history, and which page came last: what a lost COMMIT would count twice."""

from include.gong.warehouse import ddl

revision = "0014"
down_revision = "0013"

PLAN = [
    (
        "status",
        "text NOT NULL DEFAULT 'planned' CHECK (status IN ('planned', 'fetched', 'failed', 'gone'))",
        "planned; fetched; failed; or gone: Gong knew no such user",
    ),
    ("requested_at", "timestamptz", "Start of the request that gave this status; null while planned"),
]
RUNS = [
    ("newest_page", "text", "Hash of the page of users that was loaded last: loaded twice, it counts once")
]


def upgrade() -> None:
    ddl.add_columns("history_plan", PLAN)
    ddl.add_columns("sync_runs", RUNS)
    ddl.run("""
        -- Each row is written twice: with room beside it, no index has to follow.
        ALTER TABLE history_plan SET (fillfactor = 45);
        UPDATE history_plan AS plan
        SET status = CASE WHEN history_fetched_at >= histories_since THEN 'fetched'
                          WHEN history_failed_at >= run.started_at THEN 'failed' ELSE 'gone' END,
            requested_at = CASE WHEN history_fetched_at >= histories_since THEN history_fetched_at
                                WHEN history_failed_at >= run.started_at THEN history_failed_at
                                ELSE history_gone_at END
        FROM user_marks AS marks, sync_runs AS run
        WHERE marks.user_id = plan.user_id AND (run.dag_id, run.run_id) = (plan.dag_id, plan.run_id)
          AND (history_fetched_at >= histories_since OR history_failed_at >= run.started_at
               OR history_gone_at >= run.started_at);
    """)
