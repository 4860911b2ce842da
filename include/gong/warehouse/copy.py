"""Writes rows to a table by COPY, the fastest way, with every character intact."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from io import BytesIO
from typing import Any, TypeAlias

from sqlalchemy import Connection

Encoder: TypeAlias = Callable[[Any], str]

# The characters with a meaning in COPY's text format; other control characters are literal.
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_ELEMENT_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\""})
_NULL = r"\N"
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def text(value: str) -> str:
    """Encode for a text column."""
    # Most are plain words, and checking that takes a tenth of the time of translating.
    return value if value.isprintable() and "\\" not in value else value.translate(_ESCAPES)


def text_array(value: Sequence[str]) -> str:
    """Encode for a text[] column."""
    elements = ",".join([f'"{element.translate(_ELEMENT_ESCAPES)}"' for element in value])
    return text(f"{{{elements}}}")


def jsonb(value: object) -> str:
    """Encode for a jsonb column."""
    return "{}" if value == {} else text(_JSON.encode(value))


def boolean(value: bool) -> str:
    """Encode for a boolean column."""
    return "t" if value else "f"


def instant(value: datetime) -> str:
    """Encode for a timestamptz column."""
    return value.isoformat()


def integer(value: int) -> str:
    """Encode for an integer column."""
    return str(value)


def bytea(value: bytes) -> str:
    """Encode for a bytea column."""
    return r"\\x" + value.hex()


def copy_rows(
    connection: Connection, table: str, columns: Mapping[str, Encoder], rows: Iterable[Sequence[object]]
) -> None:
    """Append rows to a table, in the connection's transaction.

    :param columns: each column's name and encoder, in the order of a row's values; None is null.
    """
    encoders = tuple(columns.values())
    lines = [
        "\t".join(
            [_NULL if value is None else encode(value) for encode, value in zip(encoders, row, strict=True)]
        )
        for row in rows
    ]
    lines.append("")  # ends the last line
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        cursor.copy_expert(statement, BytesIO("\n".join(lines).encode()))
