"""What checks found."""

from include.gong.warehouse import ddl

revision = "0007"
down_revision = "0006"

RESULTS = [
    ("dag_id", "text NOT NULL", "Airflow's dag_id"),
    ("run_id", "text NOT NULL", "Airflow's run_id"),
    ("check_name", "text NOT NULL", "The check; docs/operations.md says what to do about each"),
    (
        "severity",
        "text NOT NULL CHECK (severity IN ('error', 'warning'))",
        "error: what is held is not what was answered, and the run fails; warning: what was answered is odd, "
        "or old",
    ),
    ("passed", "boolean NOT NULL", "Whether no more was found than allowed"),
    ("found", "numeric NOT NULL", "The number that was found"),
    ("allowed", "numeric", "The most that passes; null: any, it is kept to compare with"),
    ("sentence", "text NOT NULL", "The same in words"),
    ("checked_at", "timestamptz NOT NULL", "When it was checked"),
]


def upgrade() -> None:
    ddl.create_table(
        "check_results",
        "What the checks after each load found",
        RESULTS,
        ["PRIMARY KEY (dag_id, run_id, check_name)"],
    )
