"""Runs the page's SQL, and explains missing tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import HTTPException
from sqlalchemy import Connection, text
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import ProgrammingError

Row = dict[str, Any]

NO_TABLES = (
    "The warehouse has no tables yet, or tables of an older version. Run the DAG gong_users_sync once, "
    "or make migrate."
)
_ROWS_AT_ONCE = 2_000
# SQLSTATEs: undefined table, schema, function, column.
_UNDEFINED = ("42P01", "3F000", "42883", "42703")


def read_rows(sql: str, connection: Connection, **parameters: Any) -> list[Row]:
    """Return the rows of a query. NUL in a parameter becomes U+FFFD, as in stored text.

    :raises HTTPException: 503, the warehouse was never migrated, or not to this version.
    """
    return [dict(row._mapping) for row in _execute(sql, connection, parameters)]


def stream_rows(sql: str, connection: Connection, **parameters: Any) -> Iterator[Row]:
    """Yield the rows of a query while they are used, through a cursor of the server's."""
    streaming = connection.execution_options(stream_results=True, max_row_buffer=_ROWS_AT_ONCE)
    for row in _execute(sql, streaming, parameters):
        yield dict(row._mapping)


def read_row(sql: str, connection: Connection, **parameters: Any) -> Row:
    """Return the row of a query that always has exactly one."""
    (row,) = read_rows(sql, connection, **parameters)
    return row


def _execute(sql: str, connection: Connection, parameters: Row) -> CursorResult[Any]:
    values = {
        key: value.replace("\x00", "\ufffd") if isinstance(value, str) else value
        for key, value in parameters.items()
    }
    try:
        return connection.execute(text(sql), values)
    except ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) not in _UNDEFINED:
            raise
        raise HTTPException(503, NO_TABLES) from None


def like_pattern(text: str) -> str:
    """Return a LIKE pattern that finds the text anywhere, with its wildcards escaped."""
    escaped = text.strip().lower()
    for special in ("\\", "%", "_"):
        escaped = escaped.replace(special, "\\" + special)
    return f"%{escaped}%"
