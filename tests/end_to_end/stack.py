"""A checkout with `make up` running in it, and actions of tests on it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from include.gong.local.airflow_api import Airflow, AirflowApiError
from include.gong.local.connections import postgres_connection, sandbox_connection
from include.gong.local.postgres import free_port
from include.gong.local.settings import StateDir
from tests.end_to_end.commands import Checkout, checkout, eventually
from tests.support import GongService
from tests.support.metadata import copy_migrated

DAG = "dags/gong_users_sync"
TWIN = "gong_users_sync_twin"


ASK_EVERY_S = 0.5
"""Polling interval of an API during a run: each response takes time that the run could use."""


class RunningAirflow:
    """An Airflow that has our DAGs, and actions of tests on their runs."""

    def __init__(self, airflow: Airflow) -> None:
        self.airflow = airflow

    def trigger(self, dag: str = "gong_users_sync", **body: Any) -> str:
        run = self.airflow.post(f"dags/{dag}/dagRuns", {"logical_date": None, **body})
        return str(run["dag_run_id"])

    def end(self, run_id: str, dag: str = "gong_users_sync") -> None:
        """Mark a run and its tasks as failed, as a user does in the UI."""
        path = f"dags/{dag}/dagRuns/{quote(run_id, safe='')}"
        undeadlocked(lambda: self.airflow.patch(path, {"state": "failed"}))

    def finished(self, run_id: str, seconds: float = 120, dag: str = "gong_users_sync") -> str:
        path = f"dags/{dag}/dagRuns/{quote(run_id, safe='')}"

        def state() -> str | None:
            found = self.airflow.get(path)["state"]
            return found if found in ("success", "failed") else None

        return str(eventually(state, f"the end of {run_id}", seconds, ASK_EVERY_S))

    def sync(self, seconds: float = 120, **body: Any) -> str:
        """Trigger a run and wait for its final state."""
        return self.finished(self.trigger(**body), seconds)

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        path = f"{DAG}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        return list(self.airflow.get(path, limit=200)["task_instances"])

    def running(self, run_id: str) -> psutil.Process:
        """Return the process of the one running task, by Airflow's pid: only root may inspect processes."""
        (task,) = [task for task in self.tasks(run_id) if task["state"] == "running"]
        return psutil.Process(task["pid"])

    def runs(self, run_type: str) -> list[dict[str, Any]]:
        return list(self.airflow.get(f"{DAG}/dagRuns", run_type=run_type, limit=100)["dag_runs"])


class Stack(RunningAirflow):
    """A checkout with `make up` running in it."""

    def __init__(self, made: Checkout) -> None:
        self.checkout = made
        self.process = made.start("up", PORT=str(free_port()))
        state_file = made.local / "session.json"
        eventually(lambda: state_file.exists() or self.process.poll() is not None, "the stack")
        assert self.process.poll() is None, self.process.communicate()
        state = json.loads(state_file.read_text())
        super().__init__(Airflow(state["address"], state["login"], state["password"]))
        self.sandbox_warehouse: str = state["warehouse_url"]
        self._sandbox_port: int = self.airflow.get("connections/gong_default")["port"]

    @property
    def day(self) -> date:
        """The day of the scheduler's own run."""
        return date.fromisoformat(self.runs("scheduled")[0]["partition_key"])

    def point_to(self, service: GongService, warehouse: str, **extra: Any) -> None:
        """Edit both connections, as a user does in the UI."""
        limits = {"calls_per_second": 0, "calls_per_day": 0, "timeout_s": 5}
        gong = {
            "conn_type": "gong", "host": service.base_url, "login": service.key, "password": service.secret,
            "extra": json.dumps(limits | extra),
        }  # fmt: skip
        self._connect(gong, warehouse)

    def point_to_sandbox(self) -> None:
        """Restore both connections as `make up` made them."""
        made = StateDir(self.checkout.local)
        self._connect(sandbox_connection(made, self._sandbox_port), self.sandbox_warehouse)

    def _connect(self, gong: dict[str, Any], warehouse: str) -> None:
        for name, body in (("gong_default", gong), ("gong_postgres", postgres_connection(warehouse))):
            self.airflow.patch(f"connections/{name}", {"connection_id": name, **body})


def add_twin(made: Checkout) -> None:
    """Add a copy of our DAG without a schedule."""
    dags = made.root / "dags"
    text = (dags / "gong_users_sync.py").read_text().replace('"gong_users_sync"', f'"{TWIN}"')
    (dags / f"{TWIN}.py").write_text(re.sub(r"schedule=.*", "schedule=None,", text))


def undeadlocked(order: Callable[[], Any]) -> None:
    """Send a request about a run's tasks; repeat it, as a user would, after a deadlock with the scheduler.

    Both lock the rows of these tasks, in different orders: Postgres ends one, and Airflow returns 500.
    """

    def done() -> bool:
        try:
            order()
        except AirflowApiError as error:
            if "Database error" not in str(error):
                raise
            return False
        return True

    eventually(done, "a request that Airflow accepts", 30)


@contextmanager
def running_stack(
    config: pytest.Config, prepare: Callable[[Checkout], None] | None = None
) -> Iterator[Stack]:
    """Yield a stack after its own scheduled run, on a copy of migrated metadata; stop it at the end.

    :param prepare: called with the checkout before it starts.
    """
    with checkout() as made:
        copy_migrated(config, made.local / "postgres")
        if prepare:
            prepare(made)
        stack = Stack(made)
        scheduled = eventually(lambda: stack.runs("scheduled"), "the scheduler's own run")
        assert stack.finished(scheduled[0]["dag_run_id"]) == "success"
        yield stack
        stack.process.terminate()
        stack.process.communicate(timeout=60)


def log_of(stack: Stack, run_id: str, task_id: str) -> str:
    (task,) = [task for task in stack.tasks(run_id) if task["task_id"] == task_id]
    path = f"{DAG}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/logs/{task['try_number']}"
    return json.dumps(stack.airflow.get(path, full_content=True), ensure_ascii=False)
