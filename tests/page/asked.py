"""How the page's tests ask it."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import Engine

from include.page.questions import PLOTS, QUESTIONS
from include.page.table import Asked, Plot, Table
from include.warehouse.connect import transaction

THIRD = date(2026, 3, 3)
SIXTH = date(2026, 3, 6)


def asked_of(engine: Engine, name: str, **asked: Any) -> Table:
    with transaction(engine) as connection:
        return QUESTIONS[name].ask(connection, Asked(**asked))


def plot_of(engine: Engine, name: str, **asked: Any) -> Plot:
    with transaction(engine) as connection:
        return PLOTS[name](connection, Asked(**asked))


def told(table: Table, *keys: str) -> list[tuple[Any, ...]]:
    """Some of each row's values."""
    return [tuple(row[key] for key in keys) for row in table.rows]


def ids(table: Table) -> list[str]:
    return [row["user_id"] for row in table.rows]
