-- Unlogged: a claim lasts minutes, and after a crash no run holds one.
CREATE UNLOGGED TABLE history_claims (
    user_id    text        NOT NULL,
    dag_id     text        NOT NULL,
    run_id     text        NOT NULL,
    claimed_at timestamptz NOT NULL,
    PRIMARY KEY (user_id)
);

COMMENT ON TABLE history_claims IS
    'Users whose history a run is fetching at this moment: other runs skip them for a while';
COMMENT ON COLUMN history_claims.user_id IS 'The user';
COMMENT ON COLUMN history_claims.dag_id IS 'Airflow''s dag_id';
COMMENT ON COLUMN history_claims.run_id IS 'Airflow''s run_id';
COMMENT ON COLUMN history_claims.claimed_at IS 'When it was claimed, on the database''s clock';
