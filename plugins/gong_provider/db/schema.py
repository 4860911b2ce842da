"""The schema that a database's address names, and the provider's tables in it."""

from __future__ import annotations

import re
from pathlib import Path

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
_TABLES = Path(__file__).with_name("coordination.sql").read_text(encoding="utf-8")
_COLUMNS = set(re.findall(r"COMMENT ON COLUMN (\w+)\.(\w+)", _TABLES))
_EXISTING = text("""
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
    if not are_present(connection):  # another worker may have created them meanwhile
        make_schema(connection)
        enter_schema(connection)
        connection.exec_driver_sql(_TABLES)


def make_schema(connection: Connection) -> None:
    """Create the schema that the connection's address names, if it is missing.

    Checked first, as IF NOT EXISTS requires the right to create even if the schema exists.
    """
    schema = schema_of(connection.engine.url)
    if not connection.scalar(_HAS_SCHEMA, {"schema": schema}):
        connection.execute(CreateSchema(schema))


def are_present(connection: Connection) -> bool:
    """Whether all tables and views exist, with all columns."""
    connection.exec_driver_sql("SET LOCAL jit TO off")  # compiling it would cost more
    found = connection.execute(_EXISTING, {"schema": schema_of(connection.engine.url)})
    return {(name, column) for name, column in found} >= _COLUMNS
