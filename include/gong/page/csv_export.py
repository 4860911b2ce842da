"""Exports a table as CSV: read in one transaction into a temporary file, with formulas escaped."""

from __future__ import annotations

import csv
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from tempfile import SpooledTemporaryFile
from typing import Any

from include.gong.page.table import Table

IN_MEMORY = 1_000_000
_BYTE_ORDER_MARK = "\ufeff"  # without it Excel does not read UTF-8
# In locales with decimal commas, Excel starts a cell at each semicolon, and a row at each line break.
_FORMULA_START = re.compile('(^|[;\r\n])(?="*[=+\\-@\t＝＋－＠])')


def as_csv(table: Table) -> SpooledTemporaryFile[str]:
    """Return all rows; a large file is on disk while it is sent."""
    file = SpooledTemporaryFile(IN_MEMORY, "w+", encoding="utf-8", newline="")  # noqa: SIM115 (closed when sent)
    file.write(_BYTE_ORDER_MARK)
    writer = csv.writer(file)
    cells = _cells(table)
    writer.writerow([title for title, _ in cells])
    for row in table.rows:
        writer.writerow([_cell(row.get(key)) for _, key in cells])
    if table.is_unknown:  # a list that is empty because nothing is known must say so
        writer.writerows([[note] for note in table.notes])
    file.seek(0)
    return file


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
