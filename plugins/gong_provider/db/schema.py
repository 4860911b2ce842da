"""The schema that a database's address names, and the provider's tables in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import URL, Connection, text
from sqlalchemy.schema import CreateSchema

DEFAULT_SCHEMA = "gong"
PARAMETER = "gong_schema"
"""Extra of the connection, or parameter of the address, that names another schema."""

RULE = (
    f"has an invalid {PARAMETER}: use 1 to 63 of a to z, 0 to 9 and _, no digit first, and neither "
    "public nor a name of PostgreSQL's own."
)
_NAME = re.compile(r"(?!pg_|public$|information_schema$)[a-z_][a-z0-9_]{0,62}")


def schema_of(url: URL) -> str:
    """Return the schema that an address names."""
    return str(url.query.get(PARAMETER) or DEFAULT_SCHEMA)


def is_possible(schema: str) -> bool:
    """Whether the name is allowed, with or without quotes."""
    return bool(_NAME.fullmatch(schema))


def search_path(url: URL) -> str:
    """Return the search path with which unqualified names mean our tables only."""
    return f'"{schema_of(url)}", pg_temp'


def enter_schema(connection: Connection, lock_timeout_s: float = 0) -> None:
    """Set search path, time zone UTC and no JIT for the current transaction.

    For the transaction only, so that it works behind a pooler.

    Compiling (JIT) takes up to a second, for statements that take milliseconds. Before version 18 PostgreSQL
    compiled each statement of a load: a switch such as ``enable_seqscan = off`` adds 10^10 to the cost of a
    plan without alternatives.

    :param lock_timeout_s: seconds to wait for a lock, where the role has no such limit; 0: unchanged.
    """
    path = search_path(connection.engine.url)
    settings = f"SET LOCAL search_path TO {path}; SET LOCAL timezone TO 'UTC'; SET LOCAL jit TO off"
    if lock_timeout_s:
        settings += (
            f"; SELECT set_config('lock_timeout', '{lock_timeout_s * 1000:.0f}ms', true) "
            "WHERE current_setting('lock_timeout') = '0'"
        )
    connection.exec_driver_sql(settings)


_LOCK = 0x676F6E68  # any number that nothing else in this database uses

Columns = Sequence[tuple[str, str, str]]
"""Each column's name, definition and meaning. A table that lacks one gets it: it needs a default, or null."""

_INSTANT = "timestamptz"
_ACCOUNT = "The account: extra account, else the host, with a hash of the key where customers share it"

_TABLES: dict[str, tuple[str, Columns, str]] = {
    "api_quota": (
        "Rate limiter of a Gong account: one row, locked for a moment by each call",
        [
            ("account", "text PRIMARY KEY", _ACCOUNT),
            (
                "next_at",
                f"{_INSTANT} NOT NULL DEFAULT '-infinity'",
                "When the next free slot for a call begins",
            ),
            ("paused_until", _INSTANT, "No call before: Gong responded with 429"),
            (
                "refusals",
                "integer NOT NULL DEFAULT 0",
                "429s in a row without a Retry-After",
            ),
            ("exhausted_until", _INSTANT, "No call before: Gong said that the daily quota is used up"),
            (
                "others_calls",
                "integer",
                "Calls of the day that other tools made, as computed when Gong said so",
            ),
            ("others_seen_at", _INSTANT, "When that was"),
            ("filter_path", "text", "The path of users by filter that works for this account"),
        ],
        "WITH (fillfactor = 50)",
    ),
    "api_calls": (
        "Calls granted, by minute and endpoint; kept. By hour: api_usage",
        [
            ("account", "text NOT NULL", _ACCOUNT),
            ("minute", f"{_INSTANT} NOT NULL", "The minute"),
            ("endpoint", "text NOT NULL", "The kind of call, such as list_users or settings_history"),
            ("calls", "integer NOT NULL", "Calls granted, retries included"),
        ],
        "WITH (fillfactor = 70)",
    ),
    "oauth_tokens": (
        "An account's OAuth tokens, encrypted with Airflow's Fernet key; renewed by one worker at a time",
        [
            (
                "account",
                "text PRIMARY KEY",
                "The account: extra account or base URL, and a hash of the client id",
            ),
            (
                "generation",
                "integer NOT NULL",
                "Counts pairs of tokens; a worker that got a 401 names the generation it used",
            ),
            ("access_token", "text", "Encrypted; null until the first renewal"),
            ("refresh_token", "text NOT NULL", "Encrypted; Gong accepts it once"),
            ("expires_at", _INSTANT, "When the access token expires"),
            ("renew_at", _INSTANT, "When it is renewed: shortly before it expires"),
            ("base_url", "text", "Base URL of this customer's API, as Gong gave it with the tokens"),
            (
                "seeds",
                "text[] NOT NULL",
                "Hashes of refresh tokens configured in the connection, newest last",
            ),
            ("lease_holder", "text", "The worker that renews now"),
            ("lease_until", _INSTANT, "Until when no other worker may"),
            ("asked_at", _INSTANT, "When a renewal was sent whose response has not been stored"),
            ("dead_since", _INSTANT, "When Gong responded with invalid_grant: the token is not sent again"),
            (
                "accepted_generation",
                "integer NOT NULL DEFAULT -1",
                "The newest pair whose access token Gong accepted",
            ),
            (
                "refused_in_a_row",
                "integer NOT NULL DEFAULT 0",
                "Pairs in a row that Gong gave and then refused",
            ),
            ("renewed_at", _INSTANT, "When this pair was stored"),
        ],
        "",
    ),
}
_KEYS = {"api_calls": "PRIMARY KEY (account, minute, endpoint)"}

_USAGE: Columns = [
    ("account", "", _ACCOUNT),
    ("hour", "", "The hour"),
    ("endpoint", "", "The kind of call, such as list_users or settings_history"),
    ("calls", "", "Calls granted, retries included"),
]
_USAGE_VIEW = """
    SELECT account, date_trunc('hour', minute, 'UTC') AS hour, endpoint, sum(calls)::bigint AS calls
    FROM api_calls
    GROUP BY 1, 2, 3
"""

_COLUMNS = text("""
    SELECT relname, attname FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = :schema AND attnum > 0 AND NOT attisdropped
""")
_HAS_SCHEMA = text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)")


def make_tables(connection: Connection) -> None:
    """Create missing tables and columns, in the caller's transaction; concurrent calls are safe.

    Needs no right to create anything if all exist.
    """
    if are_present(connection):
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    missing = _missing(connection)
    make_schema(connection)
    enter_schema(connection)
    for name, (about, columns, options) in _TABLES.items():
        added = [f"{column} {definition}" for column, definition, _ in columns if (name, column) in missing]
        if len(added) == len(columns):
            keys = [_KEYS[name]] if name in _KEYS else []
            connection.exec_driver_sql(f"CREATE TABLE {name} ({', '.join(added + keys)}) {options}")
        elif added:
            adds = ", ".join(f"ADD COLUMN {column}" for column in added)
            connection.exec_driver_sql(f"ALTER TABLE {name} {adds}")
        if added:
            comment(connection, "TABLE", name, about, columns)
    if any(name == "api_usage" for name, _ in missing):
        connection.exec_driver_sql(f"CREATE OR REPLACE VIEW api_usage AS {_USAGE_VIEW}")
        comment(
            connection, "VIEW", "api_usage", "Calls granted, by hour and endpoint; kept as history", _USAGE
        )


def make_schema(connection: Connection) -> None:
    """Create the schema that the connection's address names, if it is missing.

    Checked first, as IF NOT EXISTS requires the right to create even if the schema exists.
    """
    schema = schema_of(connection.engine.url)
    if not connection.scalar(_HAS_SCHEMA, {"schema": schema}):
        connection.execute(CreateSchema(schema))


def are_present(connection: Connection) -> bool:
    """Whether all tables and views exist, with all columns."""
    return not _missing(connection)


def _missing(connection: Connection) -> set[tuple[str, str]]:
    """Return the columns that do not exist, each after its table or view."""
    relations = {name: columns for name, (_, columns, _) in _TABLES.items()} | {"api_usage": _USAGE}
    wanted = {(name, column) for name, columns in relations.items() for column, _, _ in columns}
    connection.exec_driver_sql("SET LOCAL jit TO off")  # compiling it would cost more
    found = connection.execute(_COLUMNS, {"schema": schema_of(connection.engine.url)})
    return wanted - {(name, column) for name, column in found}


def comment(connection: Connection, kind: str, name: str, about: str | None, columns: Columns) -> None:
    """Comment on a relation (None: keep its comment) and its columns."""
    if about is not None:
        connection.exec_driver_sql(f"COMMENT ON {kind} {name} IS {quoted(about)}")
    for column, _, meaning in columns:
        connection.exec_driver_sql(f"COMMENT ON COLUMN {name}.{column} IS {quoted(meaning)}")


def quoted(value: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"
