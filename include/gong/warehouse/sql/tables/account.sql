-- Binds the warehouse to one Gong account.
CREATE TABLE account (
    single     boolean     NOT NULL DEFAULT true,
    account    text,
    base_url   text        NOT NULL,
    key_hash   text        NOT NULL,
    settled_at timestamptz NOT NULL,
    notes      text[]      NOT NULL DEFAULT '{}',
    PRIMARY KEY (single),
    CHECK (single)
);

COMMENT ON TABLE account IS 'The Gong account of this warehouse: one row';
COMMENT ON COLUMN account.single IS 'Always true, so that there is one row';
COMMENT ON COLUMN account.account IS 'The account''s name, where the connection gives one';
COMMENT ON COLUMN account.base_url IS 'The service''s address';
COMMENT ON COLUMN account.key_hash IS 'Hash of the access key';
COMMENT ON COLUMN account.settled_at IS 'When the first run wrote this';
COMMENT ON COLUMN account.notes IS 'Rotated keys and changed hosts, in sentences';
