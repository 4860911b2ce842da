"""What every run writes anew of each user, written with less."""

from include.gong.warehouse import ddl

revision = "0011"
down_revision = "0010"

PAGES = [
    ("dag_id", "text NOT NULL", "Airflow's dag_id"),
    ("run_id", "text NOT NULL", "Airflow's run_id"),
    ("page", "integer NOT NULL", "Which page it was, from 1"),
    ("user_ids", "text[] NOT NULL", "Its users; of one who was forgotten, what tells him from others only"),
]


def upgrade() -> None:
    ddl.create_table(
        "listing_pages",
        "The users of an unfinished listing, page by page; gone when it ends",
        PAGES,
        ["PRIMARY KEY (dag_id, run_id, page)"],
    )
    ddl.run("""
        INSERT INTO listing_pages
        SELECT dag_id, run_id, pages, array_agg(user_id)
        FROM listing_users JOIN listing_progress USING (dag_id, run_id)
        GROUP BY dag_id, run_id, pages;
        DROP TABLE listing_users;

        -- Its rows live for minutes: after a crash of the database, at worst a call is paid twice.
        ALTER TABLE history_claims SET UNLOGGED;
        -- Its primary key finds a run's rows, and a batch is a quarter of them.
        DROP INDEX history_plan_dag_id_run_id_batch_idx;
        -- A run writes each row twice: with room beside it, no index has to follow.
        ALTER TABLE user_marks SET (fillfactor = 45);
    """)
