-- A killed task resumes its listing where it stopped: pages cost calls.
CREATE TABLE listing_checkpoints (
    dag_id      text        NOT NULL,
    run_id      text        NOT NULL,
    cursor      text,
    started_at  timestamptz NOT NULL,
    server_time timestamptz NOT NULL,
    pages       integer     NOT NULL,
    rejected    integer     NOT NULL,
    totals      integer[]   NOT NULL,
    PRIMARY KEY (dag_id, run_id)
);

COMMENT ON TABLE listing_checkpoints IS
    'Progress of a run''s listing: stored with each page, deleted when its histories are planned';
COMMENT ON COLUMN listing_checkpoints.dag_id IS 'Airflow''s dag_id';
COMMENT ON COLUMN listing_checkpoints.run_id IS 'Airflow''s run_id';
COMMENT ON COLUMN listing_checkpoints.cursor IS 'Cursor of the next page; null after the last one';
COMMENT ON COLUMN listing_checkpoints.started_at IS 'Start of the listing''s first request';
COMMENT ON COLUMN listing_checkpoints.server_time IS 'The same moment on Gong''s clock';
COMMENT ON COLUMN listing_checkpoints.pages IS 'Pages stored so far';
COMMENT ON COLUMN listing_checkpoints.rejected IS 'Records so far that could not be read as users';
COMMENT ON COLUMN listing_checkpoints.totals IS 'Each total of users that Gong returned';
