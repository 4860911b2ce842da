-- The users of a run: tasks get batch numbers, their ids stay in the database.
CREATE TABLE history_plan (
    dag_id       text        NOT NULL,
    run_id       text        NOT NULL,
    user_id      text        NOT NULL,
    batch        integer     NOT NULL,
    position     integer     NOT NULL,
    reason       text,
    status       text        NOT NULL DEFAULT 'planned',
    requested_at timestamptz,
    PRIMARY KEY (dag_id, run_id, user_id),
    CHECK (status IN ('planned', 'fetched', 'failed', 'not_found'))
) WITH (fillfactor = 45);

COMMENT ON TABLE history_plan IS 'Users whose histories a run fetches, in batches';
COMMENT ON COLUMN history_plan.dag_id IS 'Airflow''s dag_id';
COMMENT ON COLUMN history_plan.run_id IS 'Airflow''s run_id';
COMMENT ON COLUMN history_plan.user_id IS 'The user';
COMMENT ON COLUMN history_plan.batch IS 'Number of the batch, from 1';
COMMENT ON COLUMN history_plan.position IS 'Position in the run''s order, from 0';
COMMENT ON COLUMN history_plan.reason IS 'Why: never (fetched), changed (settings or active flag), or oldest';
COMMENT ON COLUMN history_plan.status IS 'planned, fetched, failed, or not_found: Gong had no such user';
COMMENT ON COLUMN history_plan.requested_at IS
    'Start of the request that gave this status; null while planned';
