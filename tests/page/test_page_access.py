"""Access to the page in a real Airflow's web app; and what loading the plugin imports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from tests.dags.conftest import airflow_environment
from tests.end_to_end.commands import eventually
from tests.page.served import Markup, message_of

PATHS = [
    "/",
    "/users",
    "/users/5",
    "/users.csv",
    "/evidence.json/5",
    "/static/page.css",
    "/nothing",
    "/users?on=x",
]
REFUSED = ["revoked", "expired", "forged", "unsigned", "garbage"]
SERVE = "from tests.page.airflow_server import main; main()"


@dataclass(frozen=True)
class Airflow:
    """Its address, its tokens, the page's response before the connection existed, and its log."""

    address: str
    tokens: dict[str, str]
    before: httpx.Response
    log: Path

    def get(self, path: str, bearer: str = "", cookie: str = "", method: str = "GET") -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[bearer]}"} if bearer else {}
        cookies = {"_token": self.tokens[cookie]} if cookie else {}
        with httpx.Client(cookies=cookies) as client:
            return client.request(method, f"{self.address}/gong{path}", headers=headers, timeout=30)


@contextmanager
def started(company: Engine, home: Path, **settings: str) -> Iterator[Airflow]:
    """Start Airflow's web app, with the connection that an administrator creates."""
    started_ = home / "started.json"
    environment = airflow_environment(
        home,
        AIRFLOW__CORE__AUTH_MANAGER="tests.page.airflow_server.Selective",
        AIRFLOW__API_AUTH__JWT_SECRET="of this test only " * 4,
        _AIRFLOW_PROCESS_CONTEXT="server",  # as in its own main: connections are in its database
        **settings,
    )
    with (home / "log").open("w") as log:
        command = [sys.executable, "-c", SERVE, str(started_)]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        eventually(lambda: started_.exists() or process.poll() is not None, "Airflow's web app", 120)
        assert process.poll() is None, (home / "log").read_text()[-3000:]
        found = json.loads(started_.read_text())
        headers = {"Authorization": f"Bearer {found['tokens']['reader']}"}
        before = httpx.get(f"{found['address']}/gong/users", headers=headers, timeout=30)
        url = company.url
        body = {"connection_id": "gong_postgres", "conn_type": "postgres", "host": url.host, "port": url.port,
                "login": url.username, "password": url.password, "schema": url.database}  # fmt: skip
        made = httpx.post(f"{found['address']}/api/v2/connections", headers=headers, json=body, timeout=30)
        assert made.status_code == 201, made.text
        yield Airflow(found["address"], found["tokens"], before, home / "log")
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def airflow(company: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    with started(company, tmp_path_factory.mktemp("airflow")) as airflow:
        yield airflow


def reveals_nothing(response: httpx.Response) -> None:
    """A refusal has no data, does not show whether the page exists, and has the page's headers."""
    assert len(response.content) < 400
    assert "Birch" not in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store"
    assert "x-frame-options" not in response.headers


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", PATHS)
def test_without_login_every_request_is_refused(airflow: Airflow, path: str, method: str) -> None:
    response = airflow.get(path, method=method)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    reveals_nothing(response)
    if method != "HEAD":
        assert len(Markup(response.text).words("h1")) == 1


@pytest.mark.parametrize("way", ["bearer", "cookie"])
@pytest.mark.parametrize("path", PATHS)
def test_without_read_access_to_the_dag_every_request_is_refused(
    airflow: Airflow, path: str, way: str
) -> None:
    response = airflow.get(path, **{way: "stranger"})
    assert response.status_code == 403
    reveals_nothing(response)
    assert "gong_users_sync" in response.text


@pytest.mark.parametrize("way", ["bearer", "cookie"])
def test_read_access_to_the_dag_opens_the_page(airflow: Airflow, way: str) -> None:
    expected = {"/nothing": 404, "/users?on=x": 400}
    for path in PATHS:
        response = airflow.get(path, **{way: "reader"})
        assert response.status_code == expected.get(path, 200), path
        assert "frame-ancestors 'self'" in response.headers["content-security-policy"]
        assert "x-frame-options" not in response.headers
    users = airflow.get("/users", **{way: "reader"}).text
    assert "Ada Birch" in users
    assert 'href="/gong/users/1"' in users


@pytest.mark.parametrize("way", ["bearer", "cookie"])
@pytest.mark.parametrize("token", REFUSED)
def test_an_invalid_token_is_no_login(airflow: Airflow, token: str, way: str) -> None:
    response = airflow.get("/users", **{way: token})
    assert response.status_code == 401
    reveals_nothing(response)


def test_the_authorization_header_takes_precedence_over_the_cookie(airflow: Airflow) -> None:
    assert airflow.get("/users", bearer="stranger", cookie="reader").status_code == 403
    assert airflow.get("/users", bearer="garbage", cookie="reader").status_code == 401
    assert airflow.get("/users", bearer="reader", cookie="stranger").status_code == 200


def test_a_missing_connection_is_explained(airflow: Airflow) -> None:
    assert airflow.before.status_code == 503
    assert "gong_postgres" in message_of(airflow.before)


def test_each_view_of_a_person_and_each_file_is_logged(airflow: Airflow) -> None:
    paths = ("/users/5", "/evidence.csv/5", "/evidence.json/5", "/users.csv", "/users", "/users/99")
    before = len(views_in(airflow.log))
    assert [airflow.get(path, bearer="reader").status_code for path in paths] == [200] * 5 + [404]
    hashed = sha256(b"5").hexdigest()[:16]
    assert views_in(airflow.log)[before:] == [
        ("reader", "person", hashed), ("reader", "evidence_csv", hashed), ("reader", "evidence_json", hashed),
        ("reader", "csv_users", "-"),
    ]  # fmt: skip
    assert "birch.example" not in airflow.log.read_text()


def views_in(log: Path) -> list[tuple[str, str, str]]:
    return re.findall(r"gong_page login='(\w+)' view=(\w+) subject=([\w-]+)", log.read_text())


def test_page_permission_asks_for_the_view_instead_of_the_dag(
    company: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("permission")
    with started(company, home, AIRFLOW__GONG__PAGE_PERMISSION="True") as airflow:
        # SimpleAuthManager grants each custom view to viewers and up; Selective refuses them the DAG.
        for name, status in {"viewer": 200, "stranger": 200, "nobody": 403}.items():
            assert airflow.get("/users", bearer=name).status_code == status, name
        refused = airflow.get("/users/5", bearer="nobody")
        reveals_nothing(refused)
        assert "view Gong" in refused.text


def test_the_plugin_imports_nothing_heavy(tmp_path: Path) -> None:
    program = """
import sys
import airflow.plugins_manager
before = set(sys.modules)
import gong_plugin
heavy = ("fastapi", "starlette", "jinja2", "sqlalchemy", "psycopg2", "include")
print([name for name in set(sys.modules) - before if name.split(".")[0] in heavy])
print([name for name in sys.modules if name.startswith("include.gong.page")])
"""
    command, environment = [sys.executable, "-c", program], airflow_environment(tmp_path)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["[]", "[]"]
