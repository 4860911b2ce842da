"""Hashes of erased people that nobody can test without a key, and one more look for what names them."""

from include.gong.warehouse import ddl

revision = "0016"
down_revision = "0015"

KEY = [
    ("single", "boolean PRIMARY KEY DEFAULT true CHECK (single)", "Always true, so that there is one row"),
    ("key", "bytea NOT NULL CHECK (octet_length(key) = 32)", "Random; made by the database, once"),
]

FORGOTTEN = [
    (
        "user_hash",
        "",
        "HMAC-SHA256, with the key of erasure_key, of the SHA-256 of the user's id in UTF-8; the id itself "
        "is not kept",
    ),
    (
        "erased_at",
        "",
        "When their data was last removed; null: not finished, or an address was learned since; the next run "
        "finishes it",
    ),
]
ADDRESSES = [
    ("address_hash", "", "The same of an e-mail address they had, in lower case"),
]

# Made where it stays: a statement that holds it could come into the server's log.
MAKE_KEY = """
    INSERT INTO erasure_key (key)
    VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
"""

# HMAC by its definition, for Postgres has none: H(key xor 0x5c… || H(key xor 0x36… || text)). One statement,
# at whose end the foreign key holds again. All count as not finished: until now an address could come back
# while it was learned, so the next run looks once more.
HASH_AGAIN = """
    WITH pads AS (
        SELECT string_agg(set_byte('\\x00', 0, byte # 54), '' ORDER BY place) AS inner_pad,
               string_agg(set_byte('\\x00', 0, byte # 92), '' ORDER BY place) AS outer_pad
        FROM erasure_key
        CROSS JOIN generate_series(0, 63) AS place
        CROSS JOIN LATERAL (SELECT CASE WHEN place < 32 THEN get_byte(key, place) ELSE 0 END) AS each (byte)
    ), keyed AS (
        SELECT user_hash AS plain, sha256(outer_pad || sha256(inner_pad || user_hash)) AS keyed
        FROM forgotten CROSS JOIN pads
    ), pages AS (
        UPDATE listing_pages
        SET user_ids = ARRAY(
            SELECT coalesce('forgotten ' || encode(keyed, 'hex'), user_id)
            FROM unnest(user_ids) WITH ORDINALITY AS listed (user_id, place)
            LEFT JOIN keyed ON user_id = 'forgotten ' || encode(plain, 'hex')
            ORDER BY place)
        WHERE user_ids && ARRAY(SELECT 'forgotten ' || encode(plain, 'hex') FROM keyed)
    ), addresses AS (
        UPDATE forgotten_addresses
        SET user_hash = keyed, address_hash = sha256(outer_pad || sha256(inner_pad || address_hash))
        FROM keyed CROSS JOIN pads
        WHERE user_hash = plain
    )
    UPDATE forgotten SET user_hash = keyed, erased_at = NULL FROM keyed WHERE user_hash = plain
"""


def upgrade() -> None:
    ddl.create_table(
        "erasure_key",
        "What the hashes of erased users are made with: one row; for nobody but the loader",
        KEY,
    )
    ddl.run(MAKE_KEY)
    ddl.run("LOCK TABLE forgotten IN SHARE ROW EXCLUSIVE MODE")  # loads that compare hashes come to their end
    ddl.run(HASH_AGAIN)
    ddl.comment("TABLE", "forgotten", None, FORGOTTEN)
    ddl.comment("TABLE", "forgotten_addresses", None, ADDRESSES)
