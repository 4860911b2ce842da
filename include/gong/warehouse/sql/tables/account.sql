-- Binds the warehouse to one Gong account, and has the key of erasures: readers may not see it.
CREATE TABLE account (
    single      boolean     NOT NULL DEFAULT true,
    account     text,
    base_url    text,
    key_hash    text,
    settled_at  timestamptz,
    notes       text[]      NOT NULL DEFAULT '{}',
    erasure_key bytea       NOT NULL,
    PRIMARY KEY (single),
    CONSTRAINT account_single CHECK (single),
    CONSTRAINT account_settled CHECK (num_nulls(base_url, key_hash, settled_at) IN (0, 3)),
    CONSTRAINT account_erasure_key CHECK (octet_length(erasure_key) = 32)
);

-- Made in the database: a statement with the key could be written to the server's log.
INSERT INTO account (erasure_key) VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

COMMENT ON TABLE account IS 'The Gong account of this warehouse, and the key of its erasures: one row';
COMMENT ON COLUMN account.single IS 'Always true, so that there is one row';
COMMENT ON COLUMN account.account IS 'The account''s name, where the connection gives one';
COMMENT ON COLUMN account.base_url IS 'The service''s address; null: no run has listed users yet';
COMMENT ON COLUMN account.key_hash IS 'Hash of the access key';
COMMENT ON COLUMN account.settled_at IS 'When the first run wrote this';
COMMENT ON COLUMN account.notes IS 'Rotated keys and changed hosts, in sentences';
COMMENT ON COLUMN account.erasure_key IS
    'Key of the hashes in erasures: random, made by the database. Ids are numbers that can be guessed; without '
    'it, they can not be tested against a hash';
