"""The page when its warehouse is down, missing, empty or slow: one sentence, and nothing more."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest
from airflow.sdk.exceptions import AirflowNotFoundException
from sqlalchemy import Connection, Engine, make_url, text

from include.gong.page.table import Asked, Column, Table
from include.gong.page.warehouse import SECONDS, Warehouse
from include.gong.warehouse.connect import transaction
from tests.page.asked import own
from tests.page.served import READING, RUN, Markup, connection_to, open_page, sentence_of, served, served_from
from tests.warehouse.making import load_page

PASSWORD = "not-to-be-seen"


def refused(client: httpx.Client, path: str) -> str:
    """The sentence of a 503 that tells nothing else."""
    answer = client.get(path)
    assert answer.status_code == 503, path
    assert answer.headers["content-type"].startswith("text/html")
    assert "content-disposition" not in answer.headers
    assert "'self'" in answer.headers["content-security-policy"]
    assert len(Markup(answer.text).words("h1")) == 1
    for never in (PASSWORD, "Traceback", "psycopg2", "sqlalchemy", "SELECT", ".py"):
        assert never not in answer.text, path
    return sentence_of(answer)


def test_a_warehouse_that_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as was:
        port = was.getsockname()[1]
    url = make_url(f"postgresql://someone:{PASSWORD}@127.0.0.1:{port}/analytics")
    with served_from(url) as client:
        for path in READING:
            assert f"127.0.0.1:{port}/analytics" in refused(client, path)
        assert client.get("/static/page.css").status_code == 200  # the sentence is dressed


def test_a_password_that_is_refused_is_not_told(company: Engine) -> None:
    url = company.url.set(password=PASSWORD)
    with served_from(url) as client:
        assert refused(client, "/")


def test_no_connection_in_airflow() -> None:
    def none(conn_id: str) -> Any:
        raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")

    with served(open_page(Warehouse(none))) as client:
        for path in READING:
            assert "gong_postgres" in refused(client, path)


def test_a_connection_that_airflow_cannot_read() -> None:
    def broken(conn_id: str) -> Any:
        raise ValueError(f"Port could not be cast to integer value as '{PASSWORD}'")

    with served(open_page(Warehouse(broken))) as client:
        assert "gong_postgres" in refused(client, "/users")


def test_no_tables_yet(database_url: str) -> None:
    with served_from(make_url(database_url)) as client:
        for path in READING:
            if "/calls" not in path:  # calls may be counted in another database
                assert "gong_users_sync" in refused(client, path), path


def test_nothing_loaded_yet(warehouse: Engine) -> None:
    with served_from(warehouse.url) as client:
        for path in READING:
            answer = client.get(path)
            assert answer.status_code == (404 if path in ("/users/5", RUN) else 200), path
        assert "No sync yet" in client.get("/").text
        assert client.get("/users.csv").text.count("\r\n") == 1


def test_while_the_first_run_goes_on(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])
    with served_from(warehouse.url) as client:
        for path in ("/", "/syncs", "/users/1", "/runs/gong_users_sync/manual__1", "/org-chart"):
            assert client.get(path).status_code == 200, path
        assert "No check failed" not in client.get("/").text  # none has run


class Impatient(Warehouse):
    """Waits for a second at most."""

    def read(self, ask: Any, seconds: int = SECONDS) -> Any:
        return super().read(ask, min(seconds, 1))


def ask_with(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    """A question of the test's own, at /own, that executes them."""

    def ask(connection: Connection, asked: Asked) -> Table:
        for statement in statements:
            connection.execute(text(statement))
        return Table((Column("a", "A"),), [{"a": 1}])

    own(monkeypatch, ask)


@pytest.mark.parametrize("path", ["/own", "/own.csv"])
def test_what_takes_too_long_is_stopped(company: Engine, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    ask_with(monkeypatch, "SELECT pg_sleep(20)")
    with served(open_page(Impatient(connection_to(company.url)))) as client:
        assert " 1 seconds " in refused(client, path)
        assert client.get("/users").status_code == 200


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM user_versions"],
        ["CREATE TABLE of_the_page (a int)"],
        ["SET TRANSACTION READ WRITE", "DELETE FROM user_versions"],
        ["SET LOCAL transaction_read_only TO off", "DELETE FROM user_versions"],
    ],
    ids=lambda statements: statements[0],
)
def test_nothing_is_ever_written(
    company: Engine, monkeypatch: pytest.MonkeyPatch, statements: list[str]
) -> None:
    ask_with(monkeypatch, *statements)
    with served_from(company.url) as client:
        assert "SQLSTATE 25" in refused(client, "/own")
    with transaction(company) as connection:
        assert connection.execute(text("SELECT count(*) FROM users")).scalar_one() == 10


def test_a_page_that_breaks_tells_no_one_why(company: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(connection: Connection, asked: Asked) -> Table:
        raise RuntimeError(PASSWORD)

    own(monkeypatch, ask)
    with served_from(company.url) as client:
        answer = client.get("/own")
        assert answer.status_code == 500
        assert PASSWORD not in answer.text
        assert sentence_of(answer)
        assert "'self'" in answer.headers["content-security-policy"]


def test_an_edited_connection_is_taken_up(
    company: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [company.url]
    monkeypatch.setattr("include.gong.page.warehouse.ASKED_AGAIN_AFTER_S", -1.0)
    with served(open_page(Warehouse(lambda conn_id: connection_to(held[-1])(conn_id)))) as client:
        assert client.get("/users").status_code == 200
        held.append(make_url(database_url))
        assert client.get("/users").status_code == 503
        held.append(company.url)
        assert client.get("/users").status_code == 200
