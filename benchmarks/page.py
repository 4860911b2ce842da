"""Measures each part of the page in a big warehouse, and the latency of Airflow's API beside readers of the
page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from statistics import quantiles
from threading import Event
from typing import Any

import requests
from sqlalchemy import Connection, Engine

from benchmarks.airflow_run import airflow, upsert_connection
from benchmarks.harness import Server
from include.gong.local.airflow_api import Airflow
from include.gong.local.connections import postgres_connection
from include.gong.page.lists import FINDINGS, REPORTS
from include.gong.page.overview import overview, weeks
from include.gong.page.person import person
from include.gong.page.table import PageQuery
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.migrate import migrate

LAST = date(2026, 5, 31)
A_DAY = date(2025, 12, 20)
READERS = 60
"""More than the 40 threads that an api-server has for everything."""
_REQUESTS = 200

Part = Callable[[Connection, PageQuery], Any]


def markdown_of_times(engine: Engine, user_id: str) -> Iterator[str]:
    """Yield Markdown: the best of three times of each part, now and on a day of the year before."""
    yield "| the page | now | on a past day |\n|---|---|---|"
    for name, part in _parts(user_id).items():
        now = _best_ms(engine, part, PageQuery(since=LAST if name == "changes" else None))
        then = _best_ms(engine, part, PageQuery(on=A_DAY))
        yield f"| {name} | {now:.0f} ms | {then:.0f} ms |"


def _parts(user_id: str) -> dict[str, Part]:
    parts: dict[str, Part] = {name: report.read for name, report in REPORTS.items()}
    for kind, words in FINDINGS.items():
        parts[f"findings: {words}"] = _filtered("findings", kind=kind)
    parts["findings, by since"] = _filtered("findings", sort="-since")
    for search in ("example", "user77", "nobody of this name"):
        parts[f'users, "{search}"'] = _filtered("users", search=search)
    return parts | {
        "changes a week, the chart": weeks,
        "a user": lambda connection, query: person(connection, user_id, query),
        "overview": overview,
    }


def _filtered(name: str, sort: str = "", **filters: str) -> Part:
    return lambda connection, query: REPORTS[name].read(
        connection, replace(query, sort=sort, filters=filters)
    )


def _best_ms(engine: Engine, part: Part, query: PageQuery) -> float:
    times = []
    for _ in range(3):
        with transaction(engine) as connection:
            begin = time.perf_counter()
            part(connection, query)
            times.append(time.perf_counter() - begin)
    return min(times) * 1000


def api_p95_ms(cluster: Server) -> tuple[float, float]:
    """Return the p95 latency of Airflow's API in milliseconds: alone, and beside waiting readers."""
    cluster.ensure_database("page")
    engine = engine_for(cluster.url("page"))
    migrate(engine)
    with airflow() as api:
        upsert_connection(api, "gong_postgres", postgres_connection(cluster.url("page")))
        alone = _p95_ms(api)
        over = Event()
        with ThreadPoolExecutor(READERS) as readers:
            try:
                with transaction(engine) as connection:
                    connection.exec_driver_sql("LOCK TABLE user_sync_state IN ACCESS EXCLUSIVE MODE")
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
    for number in range(_REQUESTS):
        begin = time.perf_counter()
        api.get(("version", "monitor/health")[number % 2])
        times.append(time.perf_counter() - begin)
    return quantiles(times, n=20)[-1] * 1000
