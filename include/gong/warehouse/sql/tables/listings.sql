-- What was listed when: deletions, complete days and the budget follow from it.
CREATE TABLE listings (
    dag_id              text        NOT NULL,
    run_id              text        NOT NULL,
    started_at          timestamptz NOT NULL,
    covers_until        timestamptz NOT NULL,
    finished_at         timestamptz NOT NULL,
    with_avatars        boolean     NOT NULL,
    pages               integer     NOT NULL,
    users               integer     NOT NULL,
    total_records       integer,
    changed_during_read boolean     NOT NULL,
    PRIMARY KEY (dag_id, run_id, started_at)
);

COMMENT ON TABLE listings IS 'One row for each finished listing of all users';
COMMENT ON COLUMN listings.dag_id IS 'Airflow''s dag_id';
COMMENT ON COLUMN listings.run_id IS 'Airflow''s run_id';
COMMENT ON COLUMN listings.started_at IS 'Start of its first request';
COMMENT ON COLUMN listings.covers_until IS
    'Users who existed then were listed: its start on Gong''s clock less the propagation delay';
COMMENT ON COLUMN listings.finished_at IS 'When its last page was stored';
COMMENT ON COLUMN listings.with_avatars IS 'Whether avatars were asked for';
COMMENT ON COLUMN listings.pages IS 'Pages returned';
COMMENT ON COLUMN listings.users IS 'Distinct users returned';
COMMENT ON COLUMN listings.total_records IS 'Users as Gong counted them on the last page';
COMMENT ON COLUMN listings.changed_during_read IS 'Whether Gong''s count changed between pages';
