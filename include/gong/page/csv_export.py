"""Exports a report as CSV: all rows, read page by page, with formulas escaped."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

from include.gong.page.table import PageQuery, Table, Unknown

ROWS_PER_READ = 10_000

_BYTE_ORDER_MARK = "\ufeff"  # without it Excel does not read UTF-8
# In locales with decimal commas, Excel starts a cell at each semicolon, and a row at each line break.
_FORMULA_START = re.compile('(^|[;\r\n])(?="*[=+\\-@\t＝＋－＠])')


def as_csv(read: Callable[[PageQuery], Table], query: PageQuery) -> Iterator[str]:
    """Return all rows in chunks. The first page is read at once, so that its error still gets a status."""
    query = replace(query, after="", limit=ROWS_PER_READ)
    first = read(query)
    return _chunks(read, query, first)


def _chunks(read: Callable[[PageQuery], Table], query: PageQuery, table: Table) -> Iterator[str]:
    yield _BYTE_ORDER_MARK + _csv_lines([[title for title, _ in _cells(table)]])
    unknown = table.unknown
    while True:
        keys = [key for _, key in _cells(table)]
        yield _csv_lines([[_cell(row.get(key)) for key in keys] for row in table.rows])
        if not table.after:
            break
        table = read(replace(query, after=table.after))
        unknown = _combined(unknown, table.unknown)
    if unknown:  # a list that is empty because nothing is known must say so
        yield _csv_lines([[str(unknown)]])


def _combined(one: Unknown | None, other: Unknown | None) -> Unknown | None:
    if one is None or other is None or one.users is None or other.users is None:
        return one or other
    return replace(one, users=one.users + other.users)


def _cells(table: Table) -> list[tuple[str, str]]:
    """Return heading and key of each cell; after a user's name comes the id, to join tables by."""
    keys = {column.key for column in table.columns}
    cells: list[tuple[str, str]] = []
    for column in table.columns:
        cells.append((column.title, column.key))
        if column.kind == "user" and column.id_key not in keys:
            cells.append((f"{column.title} id", column.id_key))
    return cells


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return value
    if isinstance(value, (list, tuple)):
        value = "; ".join(map(str, value))
    return _escape_formulas(_as_text(value))


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        minutes, seconds = divmod(int(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return str(value)


def _escape_formulas(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula."""
    return _FORMULA_START.sub(r"\1'", text)


def _csv_lines(rows: list[list[Any]]) -> str:
    file = StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()
