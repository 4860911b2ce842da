"""What each part of the page costs in a big warehouse; printed after the questions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from sqlalchemy import Connection, Engine

from include.page.chart import reports
from include.page.overview import overview
from include.page.people import person
from include.page.questions import PLOTS, QUESTIONS
from include.page.table import Asked
from include.warehouse.connect import transaction

LAST = date(2026, 5, 31)
A_DAY = date(2025, 12, 20)

Part = Callable[[Connection, Asked], Any]


def table_of_times(engine: Engine, user_id: str) -> Iterator[str]:
    """Markdown: each part's best of three, of the last day there is and of a day of the year before."""
    yield "| the page | now | on a past day |\n|---|---|---|"
    for name, part in _parts(user_id).items():
        now = _best_ms(engine, part, Asked(since=LAST if name == "changes" else None))
        then = _best_ms(engine, part, Asked(on=A_DAY))
        yield f"| {name} | {now:.0f} ms | {then:.0f} ms |"


def _parts(user_id: str) -> dict[str, Part]:
    parts: dict[str, Part] = {name: question.ask for name, question in QUESTIONS.items()}
    for words in ("example", "user77", "nobody of this name"):
        parts[f'users, "{words}"'] = _searched(words)
    parts |= {f"plot of {name}": plot for name, plot in PLOTS.items()}
    return parts | {
        "a user": lambda connection, asked: person(connection, user_id, asked),
        "org chart, where it begins": lambda connection, asked: reports(connection, None, asked),
        "org chart, below someone": lambda connection, asked: reports(connection, user_id, asked),
        "overview": overview,
    }


def _searched(words: str) -> Part:
    return lambda connection, asked: QUESTIONS["users"].ask(connection, Asked(on=asked.on, words=words))


def _best_ms(engine: Engine, part: Part, asked: Asked) -> float:
    times = []
    for _ in range(3):
        with transaction(engine) as connection:
            begin = time.perf_counter()
            part(connection, asked)
            times.append(time.perf_counter() - begin)
    return min(times) * 1000
