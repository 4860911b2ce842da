-- Ids are numbers that can be guessed: without this key, they cant be tested against a hash.
CREATE TABLE erasure_key (
    single boolean NOT NULL DEFAULT true,
    key    bytea   NOT NULL,
    PRIMARY KEY (single),
    CHECK (octet_length(key) = 32),
    CHECK (single)
);

-- Made in the database: a statement with the key could be written to the server's log.
INSERT INTO erasure_key (key) VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

COMMENT ON TABLE erasure_key IS 'The key of the hashes of erased users: one row; only for the loader';
COMMENT ON COLUMN erasure_key.single IS 'Always true, so that there is one row';
COMMENT ON COLUMN erasure_key.key IS 'Random; made by the database, once';
