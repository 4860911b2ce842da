"""Helpers that read the page's lists in tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from include.gong.page.lists import REPORTS
from include.gong.page.table import PageQuery, Report, Table
from include.gong.warehouse.connect import transaction

THIRD = date(2026, 3, 3)
SIXTH = date(2026, 3, 6)


def report_of(engine: Engine, name: str, **query: Any) -> Table:
    """Return a list; what is no field of PageQuery is a filter."""
    of_query = {
        key: query.pop(key) for key in ("on", "start", "limit", "sort", "since", "until") if key in query
    }
    with transaction(engine) as connection:
        return REPORTS[name].read(connection, PageQuery(**of_query, filters=query))


def pages_of(engine: Engine, name: str, **query: Any) -> list[Table]:
    """Return all pages of a list."""
    pages = [report_of(engine, name, **query)]
    shown = len(list(pages[0].rows))
    while shown < pages[0].total:
        pages.append(report_of(engine, name, **query, start=shown))
        shown += len(list(pages[-1].rows))
        assert len(pages) < 100
    return pages


def values_of(table: Table, *keys: str) -> list[tuple[Any, ...]]:
    """Return the values of these columns."""
    return [tuple(row[key] for key in keys) for row in table.rows]


def ids(table: Table) -> list[str]:
    return [row["user_id"] for row in table.rows]


def findings_of(engine: Engine, kind: str, **query: Any) -> Table:
    return report_of(engine, "findings", kind=kind, **query)


def add_report(monkeypatch: pytest.MonkeyPatch, read: Callable[[Connection, PageQuery], Table]) -> None:
    """Add a report of the test's own, at /own."""
    monkeypatch.setitem(REPORTS, "own", Report("own", "Own", "Of the test.", read))
