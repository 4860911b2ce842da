"""The tables that workers share, made where they are missing: the quota, the calls made, OAuth's tokens."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text
from sqlalchemy.schema import CreateSchema

from gong_provider.db.schema import enter_schema, schema_of

_LOCK = 0x676F6E68  # anything that no one else in this database takes

Columns = Sequence[tuple[str, str, str]]
"""Each column's name, definition and meaning."""

_INSTANT = "timestamptz"
_WHOSE = "Whose calls: extra account, else the host, with a hash of the key where many share it"

_TABLES: dict[str, tuple[str, Columns, str]] = {
    "api_quota": (
        "What all calls of a Gong account share: one row, locked for a moment a call",
        [
            ("account", "text PRIMARY KEY", _WHOSE),
            ("next_at", f"{_INSTANT} NOT NULL DEFAULT '-infinity'", "The next free place of a call"),
            ("paused_until", _INSTANT, "No call before: Gong answered 429"),
            (
                "refusals",
                "integer NOT NULL DEFAULT 0",
                "Answers 429 in a row that did not say how long to wait",
            ),
            ("exhausted_until", _INSTANT, "No call before: Gong said that the day's calls are used up"),
            ("others_calls", "integer", "Calls of the day that others made, as seen when Gong said so"),
            ("others_seen_at", _INSTANT, "When that was"),
            ("filter_path", "text", "The path of users by filter that this account's service has"),
        ],
        "WITH (fillfactor = 50)",
    ),
    "api_calls": (
        "Calls granted, by minute and endpoint; kept. Read it by hour through api_usage",
        [
            ("account", "text NOT NULL", _WHOSE),
            ("minute", f"{_INSTANT} NOT NULL", "The minute"),
            ("endpoint", "text NOT NULL", "The kind of call, such as list_users or settings_history"),
            ("calls", "integer NOT NULL", "Calls granted, retries included"),
        ],
        "WITH (fillfactor = 70)",
    ),
    "oauth_tokens": (
        "An account's OAuth tokens, encrypted with Airflow's Fernet key; renewed by one worker at a time",
        [
            ("account", "text PRIMARY KEY", "Whose tokens: extra account or base URL, and the client"),
            ("generation", "integer NOT NULL", "Counts pairs of tokens; who saw 401 names the one he used"),
            ("access_token", "text", "Encrypted; null until the first renewal"),
            ("refresh_token", "text NOT NULL", "Encrypted; Gong takes it once"),
            ("expires_at", _INSTANT, "When the access token ends"),
            ("renew_at", _INSTANT, "From when on it is renewed: shortly before its end"),
            ("base_url", "text", "Where this customer's API is, as Gong answered with the tokens"),
            ("seeds", "text[] NOT NULL", "Hashes of refresh tokens pasted into the connection, newest last"),
            ("lease_holder", "text", "Who renews now"),
            ("lease_until", _INSTANT, "Until when nobody else may"),
            ("asked_at", _INSTANT, "A renewal was sent then and its answer has not been stored"),
            ("dead_since", _INSTANT, "Gong answered invalid_grant: nobody asks with this token again"),
            (
                "accepted_generation",
                "integer NOT NULL DEFAULT -1",
                "The newest pair whose access token Gong took",
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
    ("account", "", _WHOSE),
    ("hour", "", "The hour"),
    ("endpoint", "", "The kind of call, such as list_users or settings_history"),
    ("calls", "", "Calls granted, retries included"),
]
_USAGE_VIEW = """
    SELECT account, date_trunc('hour', minute, 'UTC') AS hour, endpoint, sum(calls)::bigint AS calls
    FROM api_calls
    GROUP BY 1, 2, 3
"""

_RELATIONS = (*_TABLES, "api_usage")
_PRESENT = text("""
    SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = :schema AND relname = ANY (:names)
""")
_HAS_SCHEMA = text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)")


def make_tables(connection: Connection) -> None:
    """Make what is missing, in the caller's transaction; two at once are fine.

    Needs no right to create anything where all is there.
    """
    if are_present(connection):
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if are_present(connection):
        return
    make_schema(connection)
    enter_schema(connection)
    for name, (about, columns, options) in _TABLES.items():
        body = [f"{column} {definition}" for column, definition, _ in columns]
        body += [_KEYS[name]] if name in _KEYS else []
        connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(body)}) {options}")
        comment(connection, "TABLE", name, about, columns)
    connection.exec_driver_sql(f"CREATE OR REPLACE VIEW api_usage AS {_USAGE_VIEW}")
    comment(connection, "VIEW", "api_usage", "Calls granted, by hour and endpoint; kept as history", _USAGE)


def make_schema(connection: Connection) -> None:
    """Make the schema that the connection's address names, if it is missing.

    Asked first, for IF NOT EXISTS wants the right to create even where there is nothing to do.
    """
    schema = schema_of(connection.engine.url)
    if not connection.scalar(_HAS_SCHEMA, {"schema": schema}):
        connection.execute(CreateSchema(schema))


def are_present(connection: Connection) -> bool:
    """Whether all of them are there."""
    names = {"schema": schema_of(connection.engine.url), "names": list(_RELATIONS)}
    return bool(connection.scalar(_PRESENT, names) == len(_RELATIONS))


def comment(connection: Connection, kind: str, name: str, about: str | None, columns: Columns) -> None:
    """Comment on a relation (None: leave its own comment) and its columns."""
    if about is not None:
        connection.exec_driver_sql(f"COMMENT ON {kind} {name} IS {quoted(about)}")
    for column, _, meaning in columns:
        connection.exec_driver_sql(f"COMMENT ON COLUMN {name}.{column} IS {quoted(meaning)}")


def quoted(words: str) -> str:
    """A text as SQL writes it."""
    return "'" + words.replace("'", "''") + "'"
