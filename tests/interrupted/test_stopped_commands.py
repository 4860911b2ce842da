"""`make run` and `make up`, stopped or killed at several moments: nothing is left or paid twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psutil
from sqlalchemy import make_url

from include.gong.local.airflow_api import Airflow
from include.gong.local.postgres import Cluster, free_port
from include.gong.local.settings import StateDir
from include.gong.sandbox.world import World
from tests.end_to_end.commands import Checkout, connection_to, eventually, interrupt, killed, uri
from tests.support import GongService, odd_world
from tests.support.stored_rows import query, stored_changes, stored_users


def test_an_erasure_that_did_not_begin_before_ctrl_c_is_not_continued(
    fresh: Checkout, database_url: str
) -> None:
    """`make up` loads into the warehouse of the UI's connection, and prints it, but not its password."""
    code, output = fresh.run("run")
    assert code == 0, output
    edit_in_the_ui(fresh, database_url)
    user_id = World().users[0]["id"]
    output = stop_before_it_begins(fresh, {"user_id": user_id})
    url = make_url(database_url)
    assert f"@{url.host}:{url.port}/{url.database}'" in output
    assert str(url.password) not in output
    assert fresh.processes() == []
    code, output = fresh.run("run", AIRFLOW_CONN_GONG_POSTGRES=uri(database_url))
    assert code == 0, output
    assert query(database_url, "SELECT FROM erasures") == []
    assert query(database_url, f"SELECT user_id FROM users WHERE user_id = '{user_id}'")


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
