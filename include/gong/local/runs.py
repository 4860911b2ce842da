"""Runs of the DAG through Airflow's REST API: triggered, watched, and explained when they fail."""

import builtins
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any
from urllib.parse import quote

from include.gong.local.airflow_api import Airflow, AirflowApiError
from include.gong.local.session import Session
from include.gong.local.settings import DAG_ID, DAG_IDS, LocalError
from include.gong.sync.summary import summary

FINAL = ("success", "failed")
_PARSE_SECONDS = 120.0
_PAGE = 100
"""Airflow answers no more at once, whatever is asked for."""
_MOST_REASONS = 3
_MOST_NOTE_CHARS = 1000


def make_ready(session: Session, dag_id: str = DAG_ID) -> None:
    """Wait until Airflow has read the DAG, and let it run."""
    airflow = session.airflow
    session.wait(lambda: _is_parsed(airflow, dag_id, session.started_at), f"The DAG {dag_id}", _PARSE_SECONDS)
    airflow.patch(f"dags/{dag_id}", {"is_paused": False})


def end_leftovers(airflow: Airflow) -> None:
    """Mark failed what a command that was stopped or killed left under way."""
    close_backfills(airflow)
    for dag_id in DAG_IDS:
        for run in runs(airflow, dag_id, state=["queued", "running"]):
            airflow.patch(path_of(run["dag_run_id"], dag_id), {"state": "failed"})


def path_of(run_id: str, dag_id: str = DAG_ID) -> str:
    """Where Airflow's REST API has a run."""
    return f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


def trigger(airflow: Airflow, conf: dict[str, Any], dag_id: str = DAG_ID) -> str:
    """Start a manual run; the answer is its id."""
    run = airflow.post(f"dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
    return str(run["dag_run_id"])


def follow(session: Session, run_id: str, show: Callable[[str], None], dag_id: str = DAG_ID) -> str:
    """Wait for a run's end, showing its state every half second; the answer is its final state."""
    airflow = session.airflow
    while True:
        state = str(airflow.get(path_of(run_id, dag_id)).get("state", "deleted"))
        if state in (*FINAL, "deleted"):
            return state
        show(state)
        session.check()
        time.sleep(0.5)


@contextmanager
def goes_on(session: Session, what: str, page: str) -> Iterator[None]:
    """After Ctrl-C, say what goes on in Airflow where it is another command's, and which page shows it."""
    try:
        yield
    except KeyboardInterrupt:
        if session.owned:
            raise
        address = f"{session.address}/dags/{DAG_ID}/{page}"
        raise KeyboardInterrupt(
            f"Stopped watching. {what} goes on in the Airflow of `make up`: {address}"
        ) from None


def runs(airflow: Airflow, dag_id: str = DAG_ID, **filters: Any) -> list[dict[str, Any]]:
    """The DAG's runs, the newest first."""
    found: list[dict[str, Any]] = []
    while True:
        where = {"order_by": "-id", "limit": _PAGE, "offset": len(found)}
        page = airflow.get(f"dags/{dag_id}/dagRuns", **where, **filters).get("dag_runs", [])
        found += page
        if len(page) < _PAGE:
            return found


def reasons(airflow: Airflow, run_id: str, dag_id: str = DAG_ID) -> str:
    """Why a run failed: its tasks' own sentences, a line each, the first failure first, each once."""
    path = f"{path_of(run_id, dag_id)}/taskInstances"
    tasks = airflow.get(path, state="failed", limit=200).get("task_instances", [])
    tasks.sort(key=lambda task: task["end_date"] or "")
    tasks = [task for task in tasks if task["task_id"] != "finish"] or tasks  # it fails because others did
    told = dict.fromkeys(_reason(airflow, path, task) for task in tasks[:20])
    more = [f"… and {len(told) - _MOST_REASONS} other reasons."] if len(told) > _MOST_REASONS else []
    return (
        "\n".join([*list(told)[:_MOST_REASONS], *more]) or f"The run {run_id} failed without a failed task."
    )


def note(airflow: Airflow, run_id: str, why: str = "") -> None:
    """Say beside a run, in Airflow's UI, what came of it: a task can't, and the run stands without it.

    :param why: why it failed; empty: it did not, and its last task says what it did.
    """
    path = path_of(run_id)
    with suppress(AirflowApiError):
        did = airflow.get(f"{path}/taskInstances/finish/xcomEntries/return_value").get("value")
        if text := why or (summary(did) if did else ""):
            airflow.patch(path, {"note": text[:_MOST_NOTE_CHARS]})


def close_backfills(airflow: Airflow) -> None:
    """Cancel what is open; of one that is done, Airflow itself notes that only every half minute."""
    for each in airflow.get("backfills", dag_id=DAG_ID, order_by="-id").get("backfills", []):
        if each["completed_at"] is None:
            airflow.put(f"backfills/{each['id']}/cancel")


def _is_parsed(airflow: Airflow, dag_id: str, since: float) -> bool:
    """Whether Airflow has read the DAG's file after that moment."""
    for error in airflow.get("importErrors", limit=100).get("import_errors", []):
        if f"{dag_id}.py" in error["filename"] and moment(error["timestamp"]) >= since:
            raise LocalError(
                f"{error['filename']} does not load: {error['stack_trace'].strip().splitlines()[-1]}"
            )
    parsed = airflow.get(f"dags/{dag_id}").get("last_parsed_time")
    return bool(parsed) and moment(parsed) >= since


def moment(written: Any) -> float:
    """An instant as the API writes it, in seconds since 1970."""
    return datetime.fromisoformat(str(written)).timestamp()


def _reason(airflow: Airflow, path: str, task: dict[str, Any]) -> str:
    log = airflow.get(
        f"{path}/{task['task_id']}/logs/{task['try_number']}", map_index=task["map_index"], full_content=True
    )
    lines = [line for line in log.get("content", []) if isinstance(line, dict) and line.get("error_detail")]
    if not lines:
        return f"The task {task['task_id']} was stopped from outside, or its process died."
    error = lines[-1]["error_detail"][0]
    sentence = " ".join(str(error["exc_value"]).split())
    # Our errors are sentences; Python's own (KeyError: 'x') say little without their names.
    expected = not hasattr(builtins, error["exc_type"]) and sentence
    return sentence if expected else f"The task {task['task_id']} failed: {error['exc_type']}: {sentence}"
