"""A stack that tests kill, in part or whole, and start again as a user would."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

import psutil
import psycopg2
import pytest
from sqlalchemy import make_url

from include.gong.local.airflow_api import AirflowApiError
from include.gong.local.postgres import Cluster
from tests.end_to_end.commands import Checkout, checkout, eventually
from tests.end_to_end.stack import ASK_EVERY_S, TWIN, Stack, add_twin
from tests.support.metadata import copy_migrated

DAG = "gong_users_sync"


class KillableStack:
    """`make up` in a checkout, with a copy of the DAG that may run beside it."""

    def __init__(self, made: Checkout) -> None:
        self.checkout = made
        add_twin(made)
        self._up = _up(made)
        # The scheduled run, on the sandbox, would only be in the way.
        scheduled = eventually(lambda: self.airflow.runs("scheduled"), "the scheduler's own run")
        self.airflow.end(scheduled[0]["dag_run_id"])
        eventually(lambda: self.airflow.airflow.get(f"dags/{TWIN}"), "the twin")
        self.airflow.airflow.patch(f"dags/{TWIN}", {"is_paused": False})

    @property
    def airflow(self) -> Stack:
        """The running stack."""
        return self._up

    def new_warehouse(self, name: str) -> None:
        """Create a database in the stack's own Postgres, which is killed with it."""
        connection = psycopg2.connect(self._up.sandbox_warehouse.replace("+psycopg2", ""))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        connection.close()

    def warehouse(self, name: str) -> str:
        """Return its address, which changes with each start."""
        url = make_url(self._up.sandbox_warehouse).set(database=name)
        return url.render_as_string(hide_password=False)

    def ended(self, run_id: str, dag: str = DAG, seconds: float = 240) -> str:
        """Wait for a run's end; return success, failed, or dead if the stack died."""

        def end() -> str | None:
            if self._up.process.poll() is not None:
                return "dead"
            with suppress(AirflowApiError):
                state = self._up.airflow.get(f"dags/{dag}/dagRuns/{quote(run_id, safe='')}")["state"]
                return state if state in ("success", "failed") else None
            return None

        return str(eventually(end, f"the end of {run_id}", seconds, ASK_EVERY_S))

    def wait_until_stopped(self) -> None:
        """Wait until `make up` and all its processes have ended."""
        self._up.process.communicate(timeout=60)
        eventually(lambda: not self.checkout.processes(), "the end of all that was started", 10)
        (self.checkout.local / "session.json").unlink(missing_ok=True)

    def restart(self) -> None:
        """Start `make up` again."""
        self._up = _up(self.checkout)

    def ready(self) -> None:
        """Make sure that the stack runs and no DAG run is under way, whatever failed before."""
        if self._up.process.poll() is not None:
            self.wait_until_stopped()
            self.restart()
        for run in self.airflow.airflow.get("dags/~/dagRuns", state=["queued", "running"])["dag_runs"]:
            self.airflow.end(run["dag_run_id"], run["dag_id"])

    def stop(self) -> None:
        """Ctrl-C."""
        self._up.process.terminate()
        self._up.process.communicate(timeout=60)


def tasks(made: Checkout) -> list[psutil.Process]:
    """Return the processes of all tasks: children of the executor's workers."""
    return _those(
        made, lambda p: any("LocalExecutor" in word for each in p.parents() for word in each.cmdline())
    )


def part(stack: KillableStack, name: str) -> list[psutil.Process]:
    """Return the processes of a part: scheduler, api-server, dag-processor, postgres, or everything."""
    make = psutil.Process(stack.airflow.process.pid)
    (up,) = make.children()
    if name == "everything":
        return [make, *make.children(recursive=True)]
    if name == "postgres":
        server = psutil.Process(Cluster(stack.checkout.local / "postgres").running_pid())
        return [server, *server.children()]
    wanted = name.replace("-", "[-_]")  # api-server calls itself api_server
    return [child for child in up.children() if re.search(wanted, " ".join(child.cmdline()))]


def kill(processes: list[psutil.Process]) -> None:
    """Kill the processes with SIGKILL, all at once."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _up(made: Checkout) -> Stack:
    """Start `make up` and wait until it prints that it is ready."""
    up = Stack(made)
    for line in up.process.stdout or ():
        if "schedule is live" in line:
            break
    return up


def _those(made: Checkout, wanted: Callable[[psutil.Process], Any]) -> list[psutil.Process]:
    found = []
    for process in made.processes():
        with suppress(psutil.Error, AttributeError):
            if wanted(process):
                found.append(process)
    return found


@contextmanager
def killable_stack(config: pytest.Config) -> Iterator[KillableStack]:
    """Yield a new stack, stopped at the end."""
    with checkout() as made:
        copy_migrated(config, made.local / "postgres")
        running = KillableStack(made)
        yield running
        running.stop()
