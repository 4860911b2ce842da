"""Who was forgotten, and must never come back."""

from include.gong.warehouse import ddl

revision = "0008"
down_revision = "0007"

FORGOTTEN = [
    ("user_hash", "bytea PRIMARY KEY", "SHA-256 of the user's id in UTF-8; the id itself is not kept"),
    ("forgotten_at", "timestamptz NOT NULL", "When it was first asked for: from then on no load keeps him"),
    ("erased_at", "timestamptz", "When his data was last removed; null: not finished, to be asked again"),
    (
        "listed_at",
        "timestamptz",
        "Start of the last request of a list of all users in which Gong still had him: he was left out",
    ),
]

ADDRESSES = [
    ("user_hash", "bytea NOT NULL REFERENCES forgotten ON DELETE CASCADE", "The forgotten user"),
    ("address_hash", "bytea NOT NULL", "SHA-256 of an e-mail address he had, in lower case and UTF-8"),
]


def upgrade() -> None:
    ddl.create_table(
        "forgotten", "Users who must never be held again, by hash; for nobody but the loader", FORGOTTEN
    )
    ddl.create_table(
        "forgotten_addresses",
        "By which addresses changes name a forgotten user as their author, as hashes",
        ADDRESSES,
        ["PRIMARY KEY (user_hash, address_hash)"],
    )
    # The planner's samples of values stay when the last row is gone; changing the type drops them.
    ddl.run("""
        ALTER TABLE rejected_records ALTER COLUMN raw TYPE jsonb, ALTER COLUMN raw SET STATISTICS 0;
    """)
