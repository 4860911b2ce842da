-- When runs first found what someone should act on, and when it was so no more: what was known then. And what a
-- run knows of it, for lists of everyone: looking up all causes takes seconds.
CREATE TABLE finding_periods (
    user_id     text        NOT NULL,
    kind        text        NOT NULL,
    opened_at   timestamptz NOT NULL,
    resolved_at timestamptz,
    since       timestamptz,
    why         text,
    changed_by  text,
    PRIMARY KEY (user_id, kind, opened_at),
    CHECK (opened_at < resolved_at)
);

CREATE UNIQUE INDEX finding_periods_open ON finding_periods (user_id, kind) WHERE resolved_at IS NULL;

COMMENT ON TABLE finding_periods IS
    'When each finding was opened and resolved (SCD type 2), by full daily runs: one row each time';
COMMENT ON COLUMN finding_periods.user_id IS 'The user';
COMMENT ON COLUMN finding_periods.kind IS 'The kind, as in findings';
COMMENT ON COLUMN finding_periods.opened_at IS 'When a run found it: findings_at of the run';
COMMENT ON COLUMN finding_periods.resolved_at IS
    'When a run found that it is so no more; null: as far as runs have found, it is, or nobody knows';
COMMENT ON COLUMN finding_periods.since IS 'As in findings, by the newest run that knew it';
COMMENT ON COLUMN finding_periods.why IS 'As in findings, by the newest run that knew it';
COMMENT ON COLUMN finding_periods.changed_by IS 'As in findings, by the newest run that knew it';
