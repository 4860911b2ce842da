"""Runs contestants that are DAGs on a real Airflow: started once, pointed at a service, its runs timed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks.contestant import ACCESS_KEY, ACCESS_KEY_SECRET, peak_bytes, repeatedly
from benchmarks.contestants import BENCH
from include.gong.local.airflow_api import Airflow
from include.gong.local.connections import Sources, postgres_connection, variable
from include.gong.local.postgres import free_port
from include.gong.local.runs import FINAL, make_ready, moment, path_of, trigger
from include.gong.local.session import Lock
from include.gong.local.settings import MARKER, ROOT, StateDir
from include.gong.local.stack import Stack

_STATE_DIR = StateDir((BENCH / "airflow").resolve())
_POLL_S = 0.5
_SECONDS = 3000


class _Stack(Stack):
    """The project's stack with the naive DAG added; ``_point_to`` creates its connections."""

    def _environment(self) -> dict[str, str]:
        environment = super()._environment()
        for name in ("gong_default", "gong_postgres"):
            environment.pop(variable(name))
        bundles = [
            {
                "name": name,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(ROOT / folder), "refresh_interval": 300},
            }
            for name, folder in (("dags-folder", "dags"), ("naive", "benchmarks/naive_dags"))
        ]
        return environment | {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles)}


@contextmanager
def airflow() -> Iterator[Airflow]:
    """Yield the REST API of the harness' running Airflow, or start one and stop it at the end."""
    _STATE_DIR.directory.mkdir(parents=True, exist_ok=True)
    lock = Lock(_STATE_DIR)
    if lock.acquire("up"):
        yield lock.join().airflow
        return
    stack = _Stack(_STATE_DIR, Sources(None, None), persistent=False, port=free_port())
    try:
        session = stack.start()
        for dag_id in ("gong_users_sync", "naive"):
            make_ready(session, dag_id)
        lock.publish(session)
        yield session.airflow
    finally:
        stack.stop()
        lock.release()


def run_dag(api: Airflow, dag_id: str, gong: str, postgres: str) -> dict[str, object]:
    """Run a DAG once against a service and a warehouse.

    :return: ``seconds`` from start to end by Airflow's API, ``trigger_seconds`` from the trigger to the end,
        each task's start and end, the peak memory of one task's process, and the maximum age of the
        scheduler's last heartbeat.
    :raises RuntimeError: the run failed.
    """
    _point_to(api, gong, postgres)
    with _watched_tasks() as peak, _watched_heartbeat(api) as oldest:
        triggered = time.time()
        run_id = trigger(api, {}, dag_id)
        path = path_of(run_id, dag_id)
        while (run := api.get(path))["state"] not in FINAL:
            if time.time() > triggered + _SECONDS:
                raise RuntimeError(f"{dag_id} did not end in {_SECONDS} s")
            time.sleep(_POLL_S)
    if run["state"] != "success":
        raise RuntimeError(f"{dag_id} ended as {run['state']}")
    begin, end = moment(run["start_date"]), moment(run["end_date"])
    tasks = api.get(f"{path}/taskInstances", limit=1000)["task_instances"]
    return {
        "seconds": end - begin,
        "trigger_seconds": end - triggered,
        "peak_mb": peak[0] / 2**20,
        "heartbeat_age_s": oldest[0],
        "mapped_tasks": sum(task["map_index"] >= 0 for task in tasks),
        "tasks": {
            f"{task['task_id']}[{task['map_index']}]": [
                round(moment(task["start_date"]) - begin, 3), round(moment(task["end_date"]) - begin, 3),
            ]
            for task in tasks if task["start_date"] and len(tasks) < 50
        },
    }  # fmt: skip


def _point_to(api: Airflow, gong: str, postgres: str) -> None:
    service = {"login": ACCESS_KEY, "password": ACCESS_KEY_SECRET, "host": gong}
    extra = {"calls_per_second": 0, "calls_per_day": 0, "account": "bench"}
    url = urlsplit(gong)
    upsert_connection(api, "gong_default", {**service, "conn_type": "gong", "extra": json.dumps(extra)})
    upsert_connection(
        api, "gong_http", {**service, "conn_type": "http", "host": url.hostname, "port": url.port}
    )
    upsert_connection(api, "gong_postgres", postgres_connection(postgres))


def upsert_connection(api: Airflow, name: str, fields: dict[str, Any]) -> None:
    """Create or update a connection in Airflow."""
    body = {"connection_id": name, **fields}
    if api.get(f"connections/{name}"):
        api.patch(f"connections/{name}", body)
    else:
        api.post("connections", body)


@contextmanager
def _watched_tasks() -> Iterator[list[int]]:
    """Yield a list with the peak resident bytes of one task's process, while the ``with`` lasts."""
    peak = [0]

    def look() -> None:
        for process in _task_processes():
            with suppress(OSError):  # it has ended
                peak[0] = max(peak[0], peak_bytes(process.pid))

    with repeatedly(look, _POLL_S):
        yield peak


@contextmanager
def _watched_heartbeat(api: Airflow) -> Iterator[list[float]]:
    """Yield a list with the maximum age in seconds of the scheduler's heartbeat, while the ``with`` lasts."""
    oldest = [0.0]

    def look() -> None:
        beat = api.get("monitor/health")["scheduler"]["latest_scheduler_heartbeat"]
        oldest[0] = max(oldest[0], time.time() - moment(beat))

    with repeatedly(look, 1):
        yield oldest


def _task_processes() -> Iterator[psutil.Process]:
    """Yield the processes of this Airflow that run a task, by the title that Airflow sets."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            title = " ".join(process.cmdline())
            is_task = title.startswith("airflow worker -- ") and "LocalExecutor" not in title
            if is_task and process.environ().get(MARKER) == str(_STATE_DIR.directory):
                yield process
