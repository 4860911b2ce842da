"""Runs the page's SQL, paginates rows, encodes cursors, and explains missing tables."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fastapi import HTTPException
from sqlalchemy import Connection, text
from sqlalchemy.exc import DataError, ProgrammingError

Row = dict[str, Any]

NO_TABLES = (
    "The warehouse has no tables yet, or tables of an older version. Run the DAG gong_users_sync once, "
    "or make migrate."
)
BAD_CURSOR = "This page of the list does not exist. Go back to the first page."

# SQLSTATEs: undefined table, schema, function, column.
_UNDEFINED = ("42P01", "3F000", "42883", "42703")


def read_rows(sql: str, connection: Connection, **parameters: Any) -> list[Row]:
    """Return the rows of a query. NUL in a parameter becomes U+FFFD, as in stored text.

    :raises HTTPException: 503, the warehouse was never migrated, or not to this version; 400, the cursor
        is invalid.
    """
    values = {
        key: value.replace("\x00", "\ufffd") if isinstance(value, str) else value
        for key, value in parameters.items()
    }
    try:
        return [dict(row._mapping) for row in connection.execute(text(sql), values)]
    except ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) not in _UNDEFINED:
            raise
        raise HTTPException(503, NO_TABLES) from None
    except DataError:  # a part of the cursor has the wrong type
        raise HTTPException(400, BAD_CURSOR) from None


def read_row(sql: str, connection: Connection, **parameters: Any) -> Row:
    """Return the row of a query that always has exactly one."""
    (row,) = read_rows(sql, connection, **parameters)
    return row


def paginate(rows: list[Row], limit: int, *keys: str) -> tuple[list[Row], str]:
    """Return at most ``limit`` of the rows, and the next page's cursor; empty on the last page.

    :param rows: one more than the limit, where there are more.
    """
    if len(rows) <= limit:
        return rows, ""
    page = rows[:limit]
    return page, encode_cursor(*(str(page[-1][key] or "") for key in keys))


def encode_cursor(*parts: str) -> str:
    """Return the cursor of these keys, safe in a URL."""
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, count: int) -> Sequence[str]:
    """Return the keys of a cursor; for the first page as many empty strings.

    :raises HTTPException: 400, it is not a cursor of this list.
    """
    if not cursor:
        return [""] * count
    try:
        parts = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):  # the latter: deeply nested JSON
        raise HTTPException(400, BAD_CURSOR) from None
    if not isinstance(parts, list) or len(parts) != count or not all(map(_is_text, parts)):
        raise HTTPException(400, BAD_CURSOR)
    return parts


def _is_text(part: object) -> bool:
    """Return whether PostgreSQL can store it: no NUL, no lone surrogate."""
    return isinstance(part, str) and "\x00" not in part and part == part.encode("utf-8", "replace").decode()


def parse_instant(part: str) -> datetime:
    """Return the instant in a part of a cursor.

    :raises HTTPException: 400, it is not an ISO 8601 date-time with an offset.
    """
    try:
        instant = datetime.fromisoformat(part)
    except ValueError:
        raise HTTPException(400, BAD_CURSOR) from None
    if instant.tzinfo is None:
        raise HTTPException(400, BAD_CURSOR)
    return instant


def like_pattern(text: str) -> str:
    """Return a LIKE pattern that finds the text anywhere, with its wildcards escaped."""
    escaped = text.strip()
    for special in ("\\", "%", "_"):
        escaped = escaped.replace(special, "\\" + special)
    return f"%{escaped}%"
