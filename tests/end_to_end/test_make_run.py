"""`make run`: from nothing to rows, killed and repeated, and what a person reads when it can't."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import make_url

from include.local.postgres import Cluster
from include.sandbox.dialect import contract_user
from include.sandbox.world import World
from include.warehouse.connect import engine_for
from include.warehouse.migrate import migrate
from tests.end_to_end.commands import ROOT, Checkout, checkout, eventually
from tests.support import GongService, babbling_port, closed_port, odd_world
from tests.support.expected_rows import expected_changes, expected_user
from tests.support.landed import landed_changes, landed_users, last_run, query


@pytest.fixture(scope="module")
def fresh() -> Iterator[Checkout]:
    with checkout() as made:
        yield made


def connection_to(service: GongService | str, **fields: Any) -> str:
    """AIRFLOW_CONN_GONG_DEFAULT for a service."""
    extra = {"calls_per_second": 0, "calls_per_day": 0, "timeout_s": 5, **fields.pop("extra", {})}
    host = service if isinstance(service, str) else service.base_url
    connection = {"conn_type": "gong", "host": host, "login": GongService.key, "password": GongService.secret}
    return json.dumps(connection | fields | {"extra": extra})


def uri(database_url: str) -> str:
    return database_url.replace("postgresql+psycopg2", "postgres")


@pytest.mark.parametrize("moved", [False, True])
def test_a_checkout_that_was_moved_does_not_use_the_provider_of_where_it_was(
    moved: bool, tmp_path: Path
) -> None:
    look = [sys.executable, "-I", "-c", "import gong_provider as it; print(it.__path__[0])"]
    installed = Path(subprocess.check_output(look, text=True).strip())
    for name in ("Makefile", "requirements.txt", "constraints.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (tmp_path / ".venv" / "ready").touch()
    (tmp_path / "plugins").mkdir()
    if moved:
        shutil.copytree(installed, tmp_path / "plugins" / "gong_provider")
    else:
        (tmp_path / "plugins" / "gong_provider").symlink_to(installed)
    planned = subprocess.check_output(["make", "--dry-run", "run"], cwd=tmp_path, text=True)
    assert ("Installing into .venv" in planned) == moved


def test_from_nothing_and_again(fresh: Checkout, database_url: str) -> None:
    """The sandbox's 250 users land row by row; a second run says 0 new; nothing is left running."""
    world = World()
    users = {row["user_id"]: row for row in (expected_user(contract_user(user)) for user in world.users)}
    changes = [row for user_id in users for row in expected_changes(user_id, world.history(user_id))]
    for new in ("250 new", "0 new"):
        code, said = fresh.run("run", AIRFLOW_CONN_GONG_POSTGRES=uri(database_url))
        assert code == 0, said
        assert f"250 users ({new}, 0 changed)" in said
        assert landed_users(database_url) == users
        assert landed_changes(database_url) == sorted(changes, key=repr)
        assert fresh.processes() == []
    run = last_run(database_url)
    assert (run["state"], run["users_listed"], run["users_new"], run["changes_new"]) == ("success", 250, 0, 0)
    assert (run["histories_fetched"], run["calls_made"], run["warnings"]) == (250, 253, [])


def test_killed_in_the_middle_run_again_and_then_with_another_account(
    fresh: Checkout, database_url: str
) -> None:
    """kill -9 of the command: the next run goes on, asks no covered history again, leaves nothing."""
    odd = odd_world(300)
    with GongService(odd.users, odd.histories) as service:
        variables = {
            "AIRFLOW_CONN_GONG_DEFAULT": connection_to(service, extra={"calls_per_second": 40}),
            "AIRFLOW_CONN_GONG_POSTGRES": uri(database_url),
        }
        process = fresh.start("run", **variables)
        eventually(lambda: len(service.histories_asked) > 100, "100 histories asked")
        process.kill()
        process.communicate()
        code, said = fresh.run("run", **variables)
        assert code == 0, said
        paid_twice = sum(service.histories_asked.values()) - 300
        # At most what was in flight, and one group: a second's calls.
        assert paid_twice <= 16 + 40
    assert landed_users(database_url) == odd.expected_users()
    assert landed_changes(database_url) == odd.expected_changes()
    states = query(database_url, "SELECT state FROM sync_runs ORDER BY started_at")
    assert [row["state"] for row in states] == ["abandoned", "success"]
    assert fresh.processes() == []
    refuses_another_account(fresh, database_url)


def refuses_another_account(made: Checkout, database_url: str) -> None:
    """The run fails with a sentence, and the warehouse is as it was."""
    others = [{**user, "id": f"9{user['id']}"} for user in odd_world(30).users]
    before = dump(database_url)
    with GongService(others) as service:
        service.key = "another-key"
        connection = connection_to(service, login=service.key)
        code, said = made.run(
            "run", AIRFLOW_CONN_GONG_DEFAULT=connection, AIRFLOW_CONN_GONG_POSTGRES=uri(database_url)
        )
    assert code != 0
    assert "is another: give it a database of its own" in said
    assert dump(database_url) == before


def test_an_erasure_that_was_stopped_is_not_carried_out_by_the_next_command(
    fresh: Checkout, database_url: str
) -> None:
    """Its run is in Airflow's metadata, and no task of it has begun."""
    warehouse = {"AIRFLOW_CONN_GONG_POSTGRES": uri(database_url)}
    migrate(engine_for(database_url))
    process = fresh.start("erase", USER_ID="424242", **warehouse)
    scheduler = eventually(
        lambda: next((p for p in fresh.processes() if "scheduler" in p.cmdline()), None), "the scheduler"
    )
    scheduler.suspend()
    cluster = Cluster(fresh.local / "postgres")
    cluster.port = int((cluster.directory / "data" / "postmaster.pid").read_text().split("\n")[3])
    queued = "SELECT FROM public.dag_run WHERE dag_id = 'gong_user_erase' AND state = 'queued'"
    eventually(lambda: query(cluster.url("airflow"), queued), "the run")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()
    assert said.endswith("Stopped.\n")
    code, said = fresh.run("run", **warehouse)
    assert code == 0, said
    assert query(database_url, "SELECT FROM forgotten") == []


def test_the_scheduler_is_killed(fresh: Checkout, database_url: str) -> None:
    """The command ends with a sentence and non-zero; the next one completes."""
    odd = odd_world(200)
    with GongService(odd.users, odd.histories) as service:
        variables = {
            "AIRFLOW_CONN_GONG_DEFAULT": connection_to(service, extra={"calls_per_second": 40}),
            "AIRFLOW_CONN_GONG_POSTGRES": uri(database_url),
        }
        process = fresh.start("run", **variables)
        eventually(lambda: len(service.histories_asked) > 20, "20 histories asked")
        scheduler = next(p for p in fresh.processes() if "scheduler" in p.cmdline())
        scheduler.kill()
        said, _ = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "scheduler" in said
        assert fresh.processes() == []
        code, said = fresh.run("run", **variables)
        assert code == 0, said
    assert landed_changes(database_url) == odd.expected_changes()


def test_ctrl_c_stops_everything(fresh: Checkout) -> None:
    process = fresh.start("run")
    eventually(lambda: any("scheduler" in p.cmdline() for p in fresh.processes()), "the scheduler")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode not in (0, -signal.SIGKILL)
    assert fresh.processes() == []


def dump(url: str) -> dict[str, Any]:
    tables = ("user_facts", "user_marks", "user_settings_history", "account", "sync_runs", "listings")
    return {table: query(url, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables}


def refused(made: Checkout, **variables: str) -> str:
    """What a run said that could not begin; it took less than a minute and printed no secret."""
    begin = time.monotonic()
    code, said = made.run("run", **variables)
    assert code != 0, said
    assert time.monotonic() - begin < 60
    assert GongService.secret not in said
    assert "Traceback" not in said
    assert made.processes() == []
    return said


def test_a_wrong_gong_is_said_in_a_sentence(fresh: Checkout, database_url: str) -> None:
    postgres = uri(database_url)

    def with_gong(connection: str) -> str:
        return refused(fresh, AIRFLOW_CONN_GONG_DEFAULT=connection, AIRFLOW_CONN_GONG_POSTGRES=postgres)

    with GongService(odd_world(3).users) as service:
        assert "401" in with_gong(connection_to(service, login="wrong"))
        assert "base URL" in with_gong(connection_to(f"{service.base_url}/nowhere"))
    with closed_port() as port:
        assert "refuses connections" in with_gong(connection_to(f"http://127.0.0.1:{port}"))
    with babbling_port() as port:
        assert "no HTTP" in with_gong(connection_to(f"http://127.0.0.1:{port}"))
    assert "no host is named gong.invalid" in with_gong(connection_to("https://gong.invalid"))
    # Calls are counted, so the quota is there; of the warehouse itself there is nothing.
    tables = connect(database_url, "SELECT relname FROM pg_class WHERE relname IN ('user_facts', 'account')")
    assert tables == [], "something was written"


def test_a_wrong_warehouse_is_said_in_a_sentence(fresh: Checkout, postgres_server: Cluster) -> None:
    url = make_url(postgres_server.url("postgres")).set(drivername="postgres")

    def with_warehouse(**changes: Any) -> str:
        given = url.set(**changes).render_as_string(hide_password=False)
        return refused(fresh, AIRFLOW_CONN_GONG_POSTGRES=given)

    said = with_warehouse(password="wr0ng-secret")
    assert "password" in said
    assert "wr0ng-secret" not in said
    assert re.search(r"nothere.*(does not exist|is no|no database)", with_warehouse(database="nothere"))
    with closed_port() as port:
        assert str(port) in with_warehouse(port=port)


def connect(url: str, sql: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())
    finally:
        connection.close()
