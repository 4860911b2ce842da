"""The page when its warehouse is down, missing, empty or slow: one sentence, and no details."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest
from airflow.sdk.exceptions import AirflowNotFoundException
from sqlalchemy import Connection, Engine, make_url, text

from include.gong.page.table import Column, PageQuery, Table
from include.gong.page.warehouse import TIMEOUT_S, Warehouse
from include.gong.warehouse.connect import transaction
from tests.page.reports import add_report
from tests.page.served import READING, RUN, Markup, connection_to, message_of, open_page, served, served_from
from tests.warehouse.making import load_page

PASSWORD = "not-to-be-seen"


def refused(client: httpx.Client, path: str) -> str:
    """Return the message of a 503 that reveals nothing else."""
    response = client.get(path)
    assert response.status_code == 503, path
    assert response.headers["content-type"].startswith("text/html")
    assert "content-disposition" not in response.headers
    assert "'self'" in response.headers["content-security-policy"]
    assert len(Markup(response.text).words("h1")) == 1
    for never in (PASSWORD, "Traceback", "psycopg2", "sqlalchemy", "SELECT", ".py"):
        assert never not in response.text, path
    return message_of(response)


def test_a_warehouse_that_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as was:
        port = was.getsockname()[1]
    url = make_url(f"postgresql://someone:{PASSWORD}@127.0.0.1:{port}/analytics")
    with served_from(url) as client:
        for path in READING:
            assert f"127.0.0.1:{port}/analytics" in refused(client, path)
        assert client.get("/static/page.css").status_code == 200  # the error page has its style


def test_a_refused_password_is_not_shown(company: Engine) -> None:
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
            assert "gong_users_sync" in refused(client, path), path


def test_nothing_loaded_yet(warehouse: Engine) -> None:
    with served_from(warehouse.url) as client:
        for path in READING:
            response = client.get(path)
            assert response.status_code == (
                404 if path in ("/users/5", "/evidence.csv/5", "/evidence.json/5", RUN) else 200
            ), path
        assert "No sync yet" in client.get("/").text
        assert client.get("/users.csv").text.splitlines()[1:] == ["Not known: there was no sync yet."]


def test_during_the_first_run(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])
    with served_from(warehouse.url) as client:
        for path in ("/", "/syncs", "/users/1", "/runs/gong_users_sync/manual__1", "/data-quality"):
            assert client.get(path).status_code == 200, path
        assert Markup(client.get("/checks").text).words("tr") == []  # none has run


class Impatient(Warehouse):
    """Times out after a second."""

    def read(self, query: Any, seconds: int = TIMEOUT_S) -> Any:
        return super().read(query, min(seconds, 1))


def add_report_with(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    """Add a report at /own that executes them."""

    def read(connection: Connection, query: PageQuery) -> Table:
        for statement in statements:
            connection.execute(text(statement))
        return Table((Column("a", "A"),), [{"a": 1}])

    add_report(monkeypatch, read)


@pytest.mark.parametrize("path", ["/own", "/own.csv"])
def test_a_slow_query_is_cancelled(company: Engine, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    add_report_with(monkeypatch, "SELECT pg_sleep(20)")
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
    add_report_with(monkeypatch, *statements)
    with served_from(company.url) as client:
        assert "SQLSTATE 25" in refused(client, "/own")
    with transaction(company) as connection:
        assert connection.execute(text("SELECT count(*) FROM users")).scalar_one() == 10


def test_an_internal_error_shows_no_details(company: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(connection: Connection, query: PageQuery) -> Table:
        raise RuntimeError(PASSWORD)

    add_report(monkeypatch, read)
    with served_from(company.url) as client:
        response = client.get("/own")
        assert response.status_code == 500
        assert PASSWORD not in response.text
        assert message_of(response)
        assert "'self'" in response.headers["content-security-policy"]


def test_an_edited_connection_is_used(
    company: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [company.url]
    monkeypatch.setattr("include.gong.page.warehouse.CONNECTION_MAX_AGE_S", -1.0)
    with served(open_page(Warehouse(lambda conn_id: connection_to(urls[-1])(conn_id)))) as client:
        assert client.get("/users").status_code == 200
        urls.append(make_url(database_url))
        assert client.get("/users").status_code == 503
        urls.append(company.url)
        assert client.get("/users").status_code == 200
