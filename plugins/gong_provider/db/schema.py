"""The schema of all tables: named by the database's address, entered by each transaction."""

from __future__ import annotations

import re

from sqlalchemy import URL, Connection

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
