"""A question as CSV: all its rows, page by page, and nothing in them that a spreadsheet would run."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

from include.gong.page.table import Asked, Table, Unknown

ROWS_AT_ONCE = 10_000

_BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for something else
# Where commas are for decimals, Excel begins a cell at each semicolon, and a row at each line's end in it.
_BEGINS_A_FORMULA = re.compile('(^|[;\r\n])(?="*[=+\\-@\t＝＋－＠])')


def as_csv(ask: Callable[[Asked], Table], asked: Asked) -> Iterator[str]:
    """The whole list in parts. The first is asked for at once, so that an error can still be an answer."""
    asked = replace(asked, after="", limit=ROWS_AT_ONCE)
    first = ask(asked)
    return _parts(ask, asked, first)


def _parts(ask: Callable[[Asked], Table], asked: Asked, table: Table) -> Iterator[str]:
    yield _BYTE_ORDER_MARK + _written([[title for title, _ in _cells(table)]])
    unknown = table.unknown
    while True:
        keys = [key for _, key in _cells(table)]
        yield _written([[_cell(row.get(key)) for key in keys] for row in table.rows])
        if not table.after:
            break
        table = ask(replace(asked, after=table.after))
        unknown = _together(unknown, table.unknown)
    if unknown:  # or a list that is empty for no one is known would say that there is nobody
        yield _written([[str(unknown)]])


def _together(one: Unknown | None, other: Unknown | None) -> Unknown | None:
    if one is None or other is None or one.users is None or other.users is None:
        return one or other
    return replace(one, users=one.users + other.users)


def _cells(table: Table) -> list[tuple[str, str]]:
    """Heading and key of each cell: behind a name stands the id, by which tables can be joined."""
    shown = {column.key for column in table.columns}
    cells: list[tuple[str, str]] = []
    for column in table.columns:
        cells.append((column.title, column.key))
        if column.kind == "user" and column.id_key not in shown:
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
    return _harmless(_in_words(value))


def _in_words(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        minutes, seconds = divmod(int(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return str(value)


def _harmless(text: str) -> str:
    """With an apostrophe before what a spreadsheet would take for a formula."""
    return _BEGINS_A_FORMULA.sub(r"\1'", text)


def _written(rows: list[list[Any]]) -> str:
    file = StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()
