"""The page never takes the threads of Airflow's API, however long it waits for Postgres."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from anyio import create_task_group, run, sleep, to_thread
from fastapi import FastAPI, HTTPException
from sqlalchemy import Connection, Engine, make_url, text
from starlette.types import ASGIApp

from include.gong.page.app import make_app
from include.gong.page.limiter import BUSY, THREADS, Limiter
from include.gong.page.table import Column, PageQuery, Table
from include.gong.page.warehouse import TIMEOUT_S, Warehouse
from tests.page.reports import add_report
from tests.page.served import connection_to, message_of, served
from tests.support.ports import Forwarder
from tests.warehouse.making import value

READERS = 60
"""More than the 40 threads that a server has for everything."""
SLEEPING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE '%pg_sleep(0.05%' AND state = 'active'
"""
AWAKE = "pg_try_advisory_lock_shared(7)"


class Patient(Warehouse):
    """Times out no statement within the test."""

    def read(self, query: Any, seconds: int = TIMEOUT_S) -> Any:
        return super().read(query, max(seconds, 120))


def api_server(page: ASGIApp) -> ASGIApp:
    """Return a server like Airflow's: its endpoints share one thread pool; the page is mounted in it."""
    server = FastAPI()

    @server.get("/version")
    def version() -> str:
        return "3.3"

    server.mount("/gong", page)
    return server


@contextmanager
def asleep(engine: Engine) -> Iterator[Callable[[], None]]:
    """Postgres sleeps in each statement of ``/own`` until it is woken."""
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(7)"))

        def wake() -> None:
            connection.execute(text("SELECT pg_advisory_unlock_all()"))

        try:
            yield wake
        finally:
            wake()


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a report at ``/own`` that takes as long as Postgres sleeps."""

    def read(connection: Connection, query: PageQuery) -> Table:
        while not connection.execute(text(f"SELECT {AWAKE} FROM pg_sleep(0.05)")).scalar_one():
            pass
        connection.execute(text("SELECT pg_advisory_unlock_all()"))
        return Table((Column("a", "A"),), [{"a": 1}])

    add_report(monkeypatch, read)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("sleeps")
def test_airflow_responds_while_readers_wait_and_surplus_readers_are_refused(company: Engine) -> None:
    page = make_app(Patient(connection_to(company.url)), lambda app: app, Limiter(wait_s=2))
    with served(api_server(page)) as client, ThreadPoolExecutor(READERS) as readers:
        with asleep(company) as wake:
            responses = [readers.submit(client.get, "/gong/own", timeout=90) for _ in range(READERS)]
            until(lambda: value(company, SLEEPING) >= 2)
            for _ in range(20):
                assert client.get("/version", timeout=20).json() == "3.3"
            assert [each for each in responses if each.done() and each.result().status_code == 200] == []
            assert client.get("/gong/static/page.css", timeout=20).status_code == 200
            until(lambda: sum(map(Future.done, responses)) == READERS - THREADS)
            wake()
        found = [each.result() for each in responses]
    assert Counter(each.status_code for each in found) == {200: THREADS, 503: READERS - THREADS}
    refused = next(each for each in found if each.status_code == 503)
    assert message_of(refused) == BUSY
    assert int(refused.headers["retry-after"]) > 0
    assert "'self'" in refused.headers["content-security-policy"]


@pytest.mark.usefixtures("sleeps")
def test_waiting_readers_get_a_turn(company: Engine) -> None:
    page = make_app(Patient(connection_to(company.url)), lambda app: app, Limiter(threads=1, wait_s=60))
    with served(page) as client, ThreadPoolExecutor(5) as readers:
        with asleep(company) as wake:
            responses = [readers.submit(client.get, "/own", timeout=90) for _ in range(5)]
            until(lambda: value(company, SLEEPING) == 1)
            wake()
        assert [each.result().status_code for each in responses] == [200] * 5


def test_only_a_started_response_waits_without_timeout() -> None:
    """A download that has started can't be refused any more."""
    holds, let_go, found = Event(), Event(), list[str]()

    def hold() -> None:
        holds.set()
        let_go.wait(60)

    async def let_go_later() -> None:
        await sleep(0.3)
        let_go.set()

    async def main() -> None:
        limiter = Limiter(threads=1, wait_s=0.05)
        async with create_task_group() as others:
            others.start_soon(limiter.run, hold)
            await to_thread.run_sync(holds.wait)
            with pytest.raises(HTTPException) as refused:
                await limiter.run(str)
            assert refused.value.status_code == 503
            others.start_soon(let_go_later)
            found.append(await limiter.run(lambda: "a part", no_timeout=True))

    run(main)
    assert found == ["a part"]


def test_an_unresponsive_database_times_out_after_a_second(company: Engine) -> None:
    """The address exists, but nothing responds, as behind a firewall that drops packets."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        url = make_url(f"postgresql://a:b@127.0.0.1:{silent.getsockname()[1]}/x")
        page = make_app(Warehouse(connection_to(url)), lambda app: app)
        with served(page) as client:
            begin = time.monotonic()
            response = client.get("/users")
            took = time.monotonic() - begin
    assert response.status_code == 503
    assert "it does not respond" in message_of(response)
    assert took < 9  # it was ten; libpq waits for two at least


def test_a_pooled_connection_that_stopped_responding_is_given_up_after_a_second(company: Engine) -> None:
    """A proxy that stops forwarding keeps its connections open, so that TCP reports nothing."""
    url = company.url
    with Forwarder((url.host or "", url.port or 5432)) as proxy:
        warehouse = Warehouse(connection_to(url.set(host="127.0.0.1", port=proxy.port)))
        with served(make_app(warehouse, lambda app: app)) as client:
            assert client.get("/users").status_code == 200  # its connection goes back to the pool
            proxy.forwards.clear()
            begin = time.monotonic()
            response = client.get("/users", timeout=30)
            took = time.monotonic() - begin
            assert response.status_code == 503
            assert "it does not respond" in message_of(response)
            assert took < 9  # one second, and libpq's two for a new connection
            proxy.forwards.set()
            assert client.get("/users", timeout=30).status_code == 200
