"""How the page asks: SQL with parameters, rows by name, places in a list; tables that are not there."""

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
    "The warehouse has no tables yet, or those of an older version: run the DAG gong_users_sync once, "
    "or make migrate."
)
DAMAGED = "This place in the list does not exist: go back to its beginning."

# PostgreSQL's codes: no such table or schema; no such function or column.
_MISSING = ("42P01", "3F000", "42883", "42703")


def read_rows(sql: str, connection: Connection, **parameters: Any) -> list[Row]:
    """The rows of a query; NUL, which PostgreSQL can't hold, is asked for as U+FFFD, as which it is kept.

    :raises HTTPException: with a sentence: 503, the warehouse was never migrated, or not to this version;
        400, the place in a list is none.
    """
    values = {
        key: value.replace("\x00", "\ufffd") if isinstance(value, str) else value
        for key, value in parameters.items()
    }
    try:
        return [dict(row._mapping) for row in connection.execute(text(sql), values)]
    except ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) not in _MISSING:
            raise
        raise HTTPException(503, NO_TABLES) from None
    except DataError:  # a part of a place is no number or moment where the list has one
        raise HTTPException(400, DAMAGED) from None


def read_row(sql: str, connection: Connection, **parameters: Any) -> Row:
    """The only row of a query that always has one."""
    (row,) = read_rows(sql, connection, **parameters)
    return row


def cut(rows: list[Row], limit: int, *keys: str) -> tuple[list[Row], str]:
    """The first rows of one more than the limit, and where the list goes on; empty: it is at its end."""
    if len(rows) <= limit:
        return rows, ""
    kept = rows[:limit]
    return kept, place_of(*(str(kept[-1][key] or "") for key in keys))


def place_of(*parts: str) -> str:
    """A place in a list, as it goes into an address."""
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def parts_of(place: str, count: int) -> Sequence[str]:
    """What a place is made of; so many empty texts for the beginning.

    :raises HTTPException: 400, with a sentence: it is no place of such a list.
    """
    if not place:
        return [""] * count
    try:
        parts = json.loads(urlsafe_b64decode(place + "=" * (-len(place) % 4)))
    except (ValueError, RecursionError):  # the latter: brackets in brackets
        raise HTTPException(400, DAMAGED) from None
    if not isinstance(parts, list) or len(parts) != count or not all(map(_is_text, parts)):
        raise HTTPException(400, DAMAGED)
    return parts


def _is_text(part: object) -> bool:
    """Whether PostgreSQL can hold it: no NUL, no half of a surrogate pair."""
    return isinstance(part, str) and "\x00" not in part and part == part.encode("utf-8", "replace").decode()


def instant_of(part: str) -> datetime:
    """The moment in a place.

    :raises HTTPException: 400, with a sentence: it is none.
    """
    try:
        instant = datetime.fromisoformat(part)
    except ValueError:
        raise HTTPException(400, DAMAGED) from None
    if instant.tzinfo is None:
        raise HTTPException(400, DAMAGED)
    return instant


def like(words: str) -> str:
    """A pattern that finds the words anywhere, each character as it is written."""
    plain = words.strip()
    for special in ("\\", "%", "_"):
        plain = plain.replace(special, "\\" + special)
    return f"%{plain}%"
