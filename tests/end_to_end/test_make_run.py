"""`make run`: from nothing to rows, stopped, killed and repeated, and its error messages."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import make_url

from include.gong.local.connections import Sources
from include.gong.local.postgres import Cluster
from include.gong.local.processes import Processes
from include.gong.local.settings import LocalError, StateDir
from include.gong.sandbox.api_variant import contract_user
from include.gong.sandbox.world import World
from tests.end_to_end.commands import Checkout, connection_to, eventually, killed, uri
from tests.support import GongService, closed_port, odd_world
from tests.support.expected_rows import expected_changes, expected_user
from tests.support.stored_rows import last_run, query, stored_changes, stored_users


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
    """The sandbox's 250 users are loaded exactly; a second run has 0 new; no process keeps running."""
    world = World(clock=lambda: datetime.now(UTC))
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


def test_the_user_to_erase_is_not_taken_from_the_environment(
    fresh: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER_ID", "7012345678901234567")
    code, output = fresh.run("erase")
    assert code != 0
    assert "USER_ID is missing" in output


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
