"""How the page's tests ask it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from include.gong.page.reports import PLOTS, QUESTIONS
from include.gong.page.table import Asked, Plot, Question, Table
from include.gong.warehouse.connect import transaction

THIRD = date(2026, 3, 3)
SIXTH = date(2026, 3, 6)


def asked_of(engine: Engine, name: str, **asked: Any) -> Table:
    with transaction(engine) as connection:
        return QUESTIONS[name].ask(connection, Asked(**asked))


def pages_of(engine: Engine, name: str, **asked: Any) -> list[Table]:
    """A list page by page, to its end."""
    pages = [asked_of(engine, name, **asked)]
    while pages[-1].after:
        pages.append(asked_of(engine, name, **asked, after=pages[-1].after))
        assert len(pages) < 100
    return pages


def plot_of(engine: Engine, name: str, **asked: Any) -> Plot:
    with transaction(engine) as connection:
        return PLOTS[name](connection, Asked(**asked))


def told(table: Table, *keys: str) -> list[tuple[Any, ...]]:
    """Some of each row's values."""
    return [tuple(row[key] for key in keys) for row in table.rows]


def ids(table: Table) -> list[str]:
    return [row["user_id"] for row in table.rows]


def own(monkeypatch: pytest.MonkeyPatch, ask: Callable[[Connection, Asked], Table]) -> None:
    """A question of the test's own, at /own."""
    monkeypatch.setitem(QUESTIONS, "own", Question("own", "Own", "Of the test.", ask))
