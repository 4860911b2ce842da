"""What each part of the page costs in a big warehouse, printed after the questions; and what Airflow's API
costs beside its readers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from statistics import quantiles
from threading import Event
from typing import Any

import requests
from sqlalchemy import Connection, Engine

from benchmarks.airflow_run import airflow, keep_connection
from benchmarks.harness import Server
from include.gong.local.airflow_api import Airflow
from include.gong.local.connections import postgres_connection
from include.gong.page.chart import reports
from include.gong.page.overview import overview
from include.gong.page.people import person
from include.gong.page.reports import PLOTS, QUESTIONS
from include.gong.page.table import Asked
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.migrate import migrate

LAST = date(2026, 5, 31)
A_DAY = date(2025, 12, 20)
READERS = 60
"""More than the 40 threads that an api-server has for everything."""
_QUESTIONS = 200

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


def api_p95_ms(cluster: Server) -> tuple[float, float]:
    """Within how many milliseconds 95% of Airflow's answers come: alone, and beside readers who wait."""
    cluster.ensure_database("page")
    engine = engine_for(cluster.url("page"))
    migrate(engine)
    with airflow() as api:
        keep_connection(api, "gong_postgres", postgres_connection(cluster.url("page")))
        alone = _p95_ms(api)
        over = Event()
        with ThreadPoolExecutor(READERS) as readers:
            try:
                with transaction(engine) as connection:
                    connection.exec_driver_sql("LOCK TABLE user_marks IN ACCESS EXCLUSIVE MODE")
                    for _ in range(READERS):
                        readers.submit(_read, api, over)
                    time.sleep(2)
                    beside = _p95_ms(api)
            finally:
                over.set()
    return alone, beside


def _read(api: Airflow, over: Event) -> None:
    while not over.is_set():
        requests.get(f"{api.address}/gong/users", headers=api._session.headers, timeout=60)


def _p95_ms(api: Airflow) -> float:
    times = []
    for number in range(_QUESTIONS):
        begin = time.perf_counter()
        api.get(("version", "monitor/health")[number % 2])
        times.append(time.perf_counter() - begin)
    return quantiles(times, n=20)[-1] * 1000
