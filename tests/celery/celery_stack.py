"""Runs the stack of docker-compose.yaml: its Postgres and Redis, Airflow's processes and three workers."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from sqlalchemy import make_url

from include.gong.local.airflow_api import Airflow
from include.gong.local.postgres import Cluster
from include.gong.local.settings import LOGIN
from include.gong.warehouse.connect import engine_for
from tests.celery.containers import Containers
from tests.end_to_end.commands import eventually
from tests.end_to_end.stack import DAG, RunningAirflow
from tests.support import GongService
from tests.support.compose import Local
from tests.support.grants import log_grants

WORKERS = ("worker-1", "worker-2", "worker-3")
# Short, so that a killed worker's task is found soon; two tasks a worker, so that one can't run all four.
VARIABLES = {"WORKER_CONCURRENCY": "2", "TASK_HEARTBEAT_TIMEOUT": "30", "ADMIN_PASSWORD": "for-tests"}


class CeleryStack(RunningAirflow):
    """`docker compose up --scale worker=3`, without Docker."""

    def __init__(self, folder: Path) -> None:
        self.local = Local(folder, VARIABLES)
        self.containers = Containers(self.local)
        self.cluster = Cluster(folder / "postgres", durable=False, port=self.local.ports["5432"])
        address = f"http://127.0.0.1:{self.local.ports['8080']}"
        super().__init__(Airflow(address, LOGIN, VARIABLES["ADMIN_PASSWORD"]))

    def start(self) -> None:
        """Start everything, in the order of depends_on."""
        self.containers.run("keys")
        self.start_postgres()
        self.start_redis()
        self.containers.run("migrate")
        for service in ("api-server", "scheduler", "dag-processor", "triggerer"):
            self.containers.start(service)
        eventually(self.airflow.is_up, "the api-server")
        self.scale(3)
        eventually(lambda: self.airflow.get(DAG), "the DAG")

    def start_postgres(self) -> None:
        """Start the server; create its superuser from POSTGRES_PASSWORD_FILE, as the image does."""
        self.cluster.start()
        environment = self.local.environment("postgres")
        password = Path(environment["POSTGRES_PASSWORD_FILE"]).read_text()
        connection = psycopg2.connect(self.cluster.url("postgres").replace("+psycopg2", ""))
        connection.autocommit = True
        with connection.cursor() as cursor:
            name = sql.Identifier(environment["POSTGRES_USER"])
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (environment["POSTGRES_USER"],))
            if not cursor.fetchone():
                made = sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD %s").format(name)
                cursor.execute(made, (password,))
        connection.close()

    def start_redis(self) -> None:
        """Start Redis and wait until it is healthy."""
        self.containers.start("redis")
        eventually(lambda: self.containers.is_healthy("redis"), "Redis", 20)

    def scale(self, workers: int) -> None:
        """Scale as `docker compose up --scale worker=N`; return when the workers take tasks."""
        for instance in WORKERS[workers:]:
            if self.is_up(instance):
                self.containers.stop(instance)
        new = [instance for instance in WORKERS[:workers] if not self.is_up(instance)]
        before = {instance: self._readies(instance) for instance in new}
        for instance in new:
            self.containers.start("worker", instance)
        for instance in new:
            eventually(lambda name=instance: self._readies(name) > before[name], f"{instance}, ready", 60)

    def is_up(self, instance: str) -> bool:
        """Whether it should be running."""
        return instance in self.containers.instances

    def _readies(self, instance: str) -> int:
        log = self.local.folder / f"{instance}.log"
        return self.containers.output(instance).count(f"{instance} ready") if log.exists() else 0

    @property
    def warehouse(self) -> str:
        """The address of the warehouse in the tasks' connection."""
        known = json.loads((self.local.folder / "secrets" / "connections.json").read_text())
        url = make_url(known["gong_postgres"].replace("postgres://", "postgresql+psycopg2://"))
        return url.render_as_string(hide_password=False)

    def begin(self, service: GongService, **limits: Any) -> str:
        """Empty the warehouse, log each call's slot, set the connection as the UI does, and trigger a run."""
        connection = psycopg2.connect(self.warehouse.replace("+psycopg2", ""))
        with connection, connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA IF EXISTS gong CASCADE")
        connection.close()
        log_grants(engine_for(self.warehouse))
        extra = {"calls_per_second": 0, "calls_per_day": 0, "timeout_s": 10} | limits
        body = {
            "connection_id": "gong_default", "conn_type": "gong", "host": service.base_url,
            "login": service.key, "password": service.secret, "extra": json.dumps(extra),
        }  # fmt: skip
        if self.airflow.get("connections/gong_default"):
            self.airflow.patch("connections/gong_default", body)
        else:
            self.airflow.post("connections", body)
        if self.airflow.get(DAG)["is_paused"]:
            self.airflow.patch(DAG, {"is_paused": False})
            scheduled = eventually(lambda: self.runs("scheduled"), "the scheduler's own run")
            return str(scheduled[0]["dag_run_id"])
        return self.trigger()

    def workers_at(self, run_id: str) -> list[str]:
        """Return the workers that run tasks of a run now, by the pids in Airflow."""
        pids = {task["pid"] for task in self.tasks(run_id) if task["state"] == "running"}
        return [name for name in WORKERS if self.is_up(name) and any(
            process.pid in pids for process in self.containers.members(name)
        )]  # fmt: skip


@contextmanager
def celery_stack() -> Iterator[CeleryStack]:
    """Yield a running stack, and stop it with all it started."""
    folder = Path(tempfile.mkdtemp(prefix="gong-celery-"))
    began = time.monotonic()
    try:
        stack = CeleryStack(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        stack.start()
        print(f"up after {time.monotonic() - began:.0f} s in {folder}")  # noqa: T201
        yield stack
    finally:
        stack.containers.end()
        stack.cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
