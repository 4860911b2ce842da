-- What the checks of each run found: runs compare with the one before.
CREATE TABLE check_results (
    dag_id     text        NOT NULL,
    run_id     text        NOT NULL,
    check_name text        NOT NULL,
    severity   text        NOT NULL,
    passed     boolean     NOT NULL,
    found      numeric     NOT NULL,
    allowed    numeric,
    sentence   text        NOT NULL,
    checked_at timestamptz NOT NULL,
    PRIMARY KEY (dag_id, run_id, check_name),
    CHECK (severity IN ('error', 'warning'))
);

COMMENT ON TABLE check_results IS 'Results of the checks after each load';
COMMENT ON COLUMN check_results.dag_id IS 'Airflow''s dag_id';
COMMENT ON COLUMN check_results.run_id IS 'Airflow''s run_id';
COMMENT ON COLUMN check_results.check_name IS 'The check; docs/operations.md says what to do about each';
COMMENT ON COLUMN check_results.severity IS
    'error: stored data differs from Gong''s responses, and the run fails; warning: responses are unusual, '
    'or old';
COMMENT ON COLUMN check_results.passed IS 'Whether no more was found than allowed';
COMMENT ON COLUMN check_results.found IS 'The number that was found';
COMMENT ON COLUMN check_results.allowed IS 'The most that passes; null: any, it is kept to compare with';
COMMENT ON COLUMN check_results.sentence IS 'The same in words';
COMMENT ON COLUMN check_results.checked_at IS 'When it was checked';
