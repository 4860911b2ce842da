-- One bad record never costs its page: it is kept here instead.
CREATE TABLE rejected_records (
    record_key    bytea       NOT NULL,
    kind          text        NOT NULL,
    reason        text        NOT NULL,
    raw           jsonb       NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    PRIMARY KEY (record_key)
);

-- Statistics are samples of values, which an erasure would not reach.
ALTER TABLE rejected_records ALTER COLUMN raw SET STATISTICS 0;

COMMENT ON TABLE rejected_records IS 'Records that could not be stored as what they should be, each once';
COMMENT ON COLUMN rejected_records.record_key IS 'SHA-256 of kind, reason and raw';
COMMENT ON COLUMN rejected_records.kind IS 'The kind of record that was expected: user or settings_change';
COMMENT ON COLUMN rejected_records.reason IS 'Why it was rejected';
COMMENT ON COLUMN rejected_records.raw IS 'The record as returned';
COMMENT ON COLUMN rejected_records.first_seen_at IS 'Start of the first request that returned it';
COMMENT ON COLUMN rejected_records.last_seen_at IS 'Start of the last request that returned it';
