-- Erased users must never come back, neither from Gong nor from a backup.
CREATE TABLE erasures (
    user_hash      bytea       NOT NULL,
    address_hashes bytea[]     NOT NULL DEFAULT '{}',
    requested_at   timestamptz NOT NULL,
    erased_at      timestamptz,
    listed_at      timestamptz,
    PRIMARY KEY (user_hash)
);

COMMENT ON TABLE erasures IS 'Erased users, who must never be stored again, by hash; only for the loader';
COMMENT ON COLUMN erasures.user_hash IS
    'HMAC-SHA256, with the key in account, of the SHA-256 of the user''s id in UTF-8; the id itself is not kept';
COMMENT ON COLUMN erasures.address_hashes IS
    'The same of each e-mail address the user had, in lower case: others'' changes name their authors by it';
COMMENT ON COLUMN erasures.requested_at IS
    'When the erasure was first requested: no load stores the user from then on';
COMMENT ON COLUMN erasures.erased_at IS
    'When their data was last removed; null: not finished, or an address was learned since; the next run '
    'finishes it';
COMMENT ON COLUMN erasures.listed_at IS
    'Start of the last request of a list of all users in which Gong returned the user, who was not stored';
