-- Changes name their authors by address: these make an erasure find them, too.
CREATE TABLE erased_addresses (
    user_hash    bytea NOT NULL,
    address_hash bytea NOT NULL,
    PRIMARY KEY (user_hash, address_hash)
);

COMMENT ON TABLE erased_addresses IS 'E-mail addresses that name an erased user, as hashes';
COMMENT ON COLUMN erased_addresses.user_hash IS 'The erased user';
COMMENT ON COLUMN erased_addresses.address_hash IS 'The same of an e-mail address they had, in lower case';
