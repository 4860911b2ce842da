"""`make run`: from nothing to rows, stopped, killed and repeated, and its error messages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import make_url

from include.gong.local.airflow_api import Airflow
from include.gong.local.connections import Sources
from include.gong.local.postgres import Cluster, free_port
from include.gong.local.processes import Processes
from include.gong.local.settings import LocalError, StateDir
from include.gong.sandbox.api_variant import contract_user
from include.gong.sandbox.world import World
from tests.end_to_end.commands import Checkout, checkout, eventually, interrupt, killed
from tests.support import GongService, closed_port, odd_world
from tests.support.expected_rows import expected_changes, expected_user
from tests.support.stored_rows import last_run, query, stored_changes, stored_users


@pytest.fixture(scope="module")
def one_checkout() -> Iterator[Checkout]:
    with checkout() as made:
        yield made


@pytest.fixture
def fresh(one_checkout: Checkout) -> Iterator[Checkout]:
    """The shared checkout, in which nothing runs."""
    yield one_checkout
    killed(one_checkout.processes())


def connection_to(service: GongService | str, **fields: Any) -> str:
    """Return AIRFLOW_CONN_GONG_DEFAULT for a service."""
    extra = {"calls_per_second": 0, "calls_per_day": 0, "timeout_s": 5, **fields.pop("extra", {})}
    host = service if isinstance(service, str) else service.base_url
    connection = {"conn_type": "gong", "host": host, "login": GongService.key, "password": GongService.secret}
    return json.dumps(connection | fields | {"extra": extra})


def uri(database_url: str) -> str:
    return database_url.replace("postgresql+psycopg2", "postgres")


def test_a_checkout_that_was_moved_does_not_use_the_provider_of_where_it_was(
    fresh: Checkout, tmp_path: Path
) -> None:
    moved = shutil.copytree(
        fresh.root, tmp_path / "moved", symlinks=True, ignore=shutil.ignore_patterns(".local")
    )
    for root in (fresh.root, moved):
        planned = subprocess.check_output(["make", "--dry-run", "run"], cwd=root, text=True)
        assert ("Installing into .venv" in planned) == (root == moved)


def test_from_nothing_and_again(fresh: Checkout, database_url: str) -> None:
    """The sandbox's 250 users are loaded exactly; a second run has 0 new; no process keeps running.

    Between them, `make up` loads into the warehouse of the UI's connection, and prints it; it is stopped by
    Ctrl-C when an erasure is in Airflow's metadata and no task of it has begun: the next command must not
    continue it.
    """
    world = World()
    users = {row["user_id"]: row for row in (expected_user(contract_user(user)) for user in world.users)}
    changes = [row for user_id in users for row in expected_changes(user_id, world.history(user_id))]
    variables = MEANT_FOR_OTHERS | {"AIRFLOW_CONN_GONG_POSTGRES": uri(database_url)}

    def estimate() -> str:
        today = datetime.now(UTC).date()
        days = {"FROM": str(today - timedelta(days=4)), "TO": str(today - timedelta(days=3))}
        code, output = fresh.run("backfill", **days, DRY_RUN="1", **variables)
        assert code == 0, output
        return output

    def run(new: str) -> None:
        code, output = fresh.run("run", **variables)
        assert code == 0, output
        assert f"250 users ({new}, 0 changed)" in output
        assert stored_users(database_url) == users
        assert stored_changes(database_url) == sorted(changes, key=repr)
        assert fresh.processes() == []

    assert ": 253 calls: 3 to list the users, 250 histories." in estimate()
    run("250 new")
    assert estimate().count(": 0 calls. All of it is stored already.") == 1
    edit_in_the_ui(fresh, database_url)
    output = stop_before_it_begins(fresh, {"user_id": next(iter(users))}, **MEANT_FOR_OTHERS)
    url = make_url(database_url)
    assert f"@{url.host}:{url.port}/{url.database}'" in output
    assert str(url.password) not in output
    assert fresh.processes() == []
    run("0 new")
    done = last_run(database_url)
    assert (done["state"], done["users_listed"], done["changes_new"]) == ("success", 250, 0)
    assert (done["histories_fetched"], done["calls_made"], done["warnings"]) == (250, 253, [])


MEANT_FOR_OTHERS = {
    "AIRFLOW_HOME": "/nowhere",
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__DAGS_FOLDER": "/nowhere",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://nobody@127.0.0.1:1/nothing",
}
"""Settings of another Airflow, in the caller's environment."""


def edit_in_the_ui(made: Checkout, database_url: str) -> None:
    """Edit the warehouse's connection, as a user does."""
    cluster = Cluster(made.local / "postgres")
    cluster.start()
    environment = os.environ | {
        "AIRFLOW_HOME": str(made.local / "airflow"),
        "AIRFLOW__CORE__FERNET_KEY": StateDir(made.local).secrets["fernet"],
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": cluster.url("airflow"),
    }
    add = ("airflow", "connections", "add", "gong_postgres", "--conn-uri", uri(database_url))
    try:
        subprocess.run([sys.executable, "-m", *add], env=environment, check=True, capture_output=True)
    finally:
        cluster.stop()


def stop_before_it_begins(made: Checkout, conf: dict[str, Any], **variables: str) -> str:
    """Stop `make up` before a triggered erasure begins; return its output."""
    process = made.start("up", PORT=str(free_port()), **variables)
    file = made.local / "session.json"
    eventually(file.exists, "the stack")
    scheduler = eventually(made.scheduler, "the scheduler")
    scheduler.suspend()
    state = json.loads(file.read_text())
    airflow = Airflow(state["address"], state["login"], state["password"])
    airflow.post("dags/gong_user_erase/dagRuns", {"logical_date": None, "conf": conf})
    interrupt(process)
    output, _ = process.communicate(timeout=60)
    assert "Stopped.\n" in output
    return str(output)


def test_the_user_to_erase_is_not_taken_from_the_environment(
    fresh: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER_ID", "7012345678901234567")
    code, output = fresh.run("erase")
    assert code != 0
    assert "USER_ID is missing" in output


def test_killed_in_the_middle_and_run_again(fresh: Checkout, database_url: str) -> None:
    """After SIGKILL, the next run continues, fetches no stored history again, and leaves nothing running."""
    odd = odd_world(300)
    with GongService(odd.users, odd.histories) as service:
        variables = {
            "AIRFLOW_CONN_GONG_DEFAULT": connection_to(service, extra={"calls_per_second": 40}),
            "AIRFLOW_CONN_GONG_POSTGRES": uri(database_url),
        }
        process = fresh.start("run", **variables)
        eventually(lambda: len(service.histories_requested) > 100, "100 histories requested")
        make = psutil.Process(process.pid)
        killed([make, *make.children()])
        process.communicate()
        code, output = fresh.run("run", **variables)
        assert code == 0, output
        paid_twice = sum(service.histories_requested.values()) - 300
        # At most the calls in flight, and one group: a second's calls.
        assert paid_twice <= 16 + 40
    assert stored_users(database_url) == odd.expected_users()
    assert stored_changes(database_url) == odd.expected_changes()
    states = query(database_url, "SELECT state FROM sync_runs ORDER BY started_at")
    assert [row["state"] for row in states] == ["abandoned", "success"]
    assert fresh.processes() == []


def test_ctrl_c_at_any_moment_ends_it_without_a_trace(fresh: Checkout) -> None:
    """At its first line, while Airflow starts, and in the middle of the run."""
    odd = odd_world(300)
    with GongService(odd.users, odd.histories, latency_s=0.2) as service:
        moments: list[Callable[[], bool]] = [
            lambda: bool(process.stderr and process.stderr.readline()),
            lambda: (fresh.local / "logs" / "api-server.log").exists(),
            lambda: len(service.histories_requested) > 5,
        ]
        for is_there in moments:
            shutil.rmtree(fresh.local / "logs", ignore_errors=True)
            process = fresh.program("run", "--json", AIRFLOW_CONN_GONG_DEFAULT=connection_to(service))
            eventually(is_there, "the moment")
            interrupt(process)
            output, shown = process.communicate(timeout=60)
            assert process.returncode == 130, shown
            assert json.loads(output) == {"error": "Stopped."}
            assert "Traceback" not in shown
            assert fresh.processes() == []


def test_a_wrong_key_is_reported_in_a_sentence(fresh: Checkout, database_url: str) -> None:
    """The message comes within a minute and has no secret; no table of the warehouse is created."""
    begin = time.monotonic()
    with GongService(odd_world(3).users) as service:
        connection = connection_to(service, login="wrong")
        code, output = fresh.run(
            "run", AIRFLOW_CONN_GONG_DEFAULT=connection, AIRFLOW_CONN_GONG_POSTGRES=uri(database_url)
        )
    assert code != 0, output
    assert time.monotonic() - begin < 60
    assert "401" in output
    assert GongService.secret not in output
    assert "Traceback" not in output
    assert fresh.processes() == []
    # Calls are counted, so the quota is there.
    made = query(database_url, "SELECT FROM pg_class WHERE relname IN ('user_versions', 'account')")
    assert made == [], "something was written"


@pytest.mark.parametrize("wrong", ["password", "database", "port"])
def test_a_wrong_warehouse_is_reported_in_a_sentence(wrong: str, postgres_server: Cluster) -> None:
    """The message comes before anything starts."""
    with closed_port() as port:
        changes: dict[str, Any] = {"password": "wr0ng-secret", "database": "nothere", "port": port}
        url = make_url(postgres_server.url("postgres")).set(drivername="postgres", **{wrong: changes[wrong]})
        with pytest.raises(LocalError) as refused:
            Sources(None, url.render_as_string(hide_password=False)).check_warehouse()
    says = {"password": "password", "database": "nothere", "port": str(port)}
    assert says[wrong] in str(refused.value)
    assert str(url.password) not in str(refused.value)


def test_a_killed_process_is_named(tmp_path: Path) -> None:
    parts = Processes(StateDir(tmp_path))
    parts.start("scheduler", ["sleep", "60"], dict(os.environ))
    try:
        parts.check()
        (child,) = [each for each in psutil.Process().children() if each.name() == "sleep"]
        killed([child])
        with pytest.raises(LocalError, match="scheduler was ended by signal 9"):
            eventually(parts.check, "the end", 10)
    finally:
        parts.stop()
