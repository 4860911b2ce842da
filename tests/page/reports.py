"""Helpers that read the page's reports and plots in tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from include.gong.page.reports import PLOTS, REPORTS
from include.gong.page.table import PageQuery, Plot, Report, Table
from include.gong.warehouse.connect import transaction

THIRD = date(2026, 3, 3)
SIXTH = date(2026, 3, 6)


def report_of(engine: Engine, name: str, **query: Any) -> Table:
    with transaction(engine) as connection:
        return REPORTS[name].read(connection, PageQuery(**query))


def pages_of(engine: Engine, name: str, **query: Any) -> list[Table]:
    """Return all pages of a list."""
    pages = [report_of(engine, name, **query)]
    while pages[-1].after:
        pages.append(report_of(engine, name, **query, after=pages[-1].after))
        assert len(pages) < 100
    return pages


def plot_of(engine: Engine, name: str, **query: Any) -> Plot:
    with transaction(engine) as connection:
        return PLOTS[name](connection, PageQuery(**query))


def values_of(table: Table, *keys: str) -> list[tuple[Any, ...]]:
    """Return the values of these columns."""
    return [tuple(row[key] for key in keys) for row in table.rows]


def ids(table: Table) -> list[str]:
    return [row["user_id"] for row in table.rows]


def add_report(monkeypatch: pytest.MonkeyPatch, read: Callable[[Connection, PageQuery], Table]) -> None:
    """Add a report of the test's own, at /own."""
    monkeypatch.setitem(REPORTS, "own", Report("own", "Own", "Of the test.", read))
