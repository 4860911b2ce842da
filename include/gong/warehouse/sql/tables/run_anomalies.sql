-- Values that were repaired are counted, never logged: they may be personal.
CREATE TABLE run_anomalies (
    dag_id text   NOT NULL,
    run_id text   NOT NULL,
    kind   text   NOT NULL,
    count  bigint NOT NULL,
    PRIMARY KEY (dag_id, run_id, kind)
);

COMMENT ON TABLE run_anomalies IS 'Anomalies that a run met and handled, counted by kind';
COMMENT ON COLUMN run_anomalies.dag_id IS 'Airflow''s dag_id';
COMMENT ON COLUMN run_anomalies.run_id IS 'Airflow''s run_id';
COMMENT ON COLUMN run_anomalies.kind IS 'The kind of anomaly';
COMMENT ON COLUMN run_anomalies.count IS 'How often';
