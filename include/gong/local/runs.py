"""Triggers and watches runs of the DAG through Airflow's REST API, and explains failures."""

import builtins
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from include.gong.local.airflow_api import Airflow, AirflowApiError
from include.gong.local.session import Session
from include.gong.local.settings import DAG_ID, DAG_IDS, LocalError
from include.gong.sync.summary import summary

FINAL = ("success", "failed")
UNFINISHED = ["queued", "running"]
_PARSE_SECONDS = 120.0
_REQUEST_SECONDS = 5.0
"""Time in which Airflow creates a run after its request was sent."""
_PAGE = 100
"""Airflow returns no more at once, whatever the limit in the request."""
_MAX_REASONS = 3
_MAX_NOTE_CHARS = 1000


def make_ready(
    session: Session, dag_id: str = DAG_ID, *, is_run_now: bool = True, say: Callable[[str], None] = print
) -> bool:
    """Wait until Airflow has parsed the DAG, unpause it, and return whether its schedule is live.

    :param is_run_now: unpause it also where its user has paused it, for runs of a paused one do not begin.
    """
    airflow = session.airflow
    session.wait(lambda: _is_parsed(airflow, dag_id, session.started_at), f"The DAG {dag_id}", _PARSE_SECONDS)
    if not airflow.get(f"dags/{dag_id}")["is_paused"]:
        return True
    is_new = not airflow.get(f"dags/{dag_id}/dagRuns", limit=1)["dag_runs"]  # Airflow creates it paused
    if is_new or is_run_now:
        airflow.patch(f"dags/{dag_id}", {"is_paused": False})
    if is_run_now and not is_new:
        say(f"{dag_id} was paused in Airflow's UI; now it is not.")
    return is_new or is_run_now


def end_leftovers(airflow: Airflow) -> None:
    """Mark unfinished runs of a stopped or killed command as failed, and its backfills as complete."""
    for each in airflow.get("backfills", dag_id=DAG_ID, order_by="-id").get("backfills", []):
        if each["completed_at"] is None:
            airflow.put(f"backfills/{each['id']}/cancel")
    for dag_id in DAG_IDS:
        for run in runs(airflow, dag_id, state=UNFINISHED):
            airflow.patch(path_of(run["dag_run_id"], dag_id), {"state": "failed"})


def path_of(run_id: str, dag_id: str = DAG_ID) -> str:
    """Return a run's path in Airflow's REST API."""
    return f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


def trigger(
    airflow: Airflow, conf: dict[str, Any], dag_id: str = DAG_ID, *, run_id: str | None = None
) -> str:
    """Start a manual run and return its id; None: Airflow chooses it."""
    body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
    return str(airflow.post(f"dags/{dag_id}/dagRuns", body)["dag_run_id"])


def start(session: Session, conf: dict[str, Any]) -> str:
    """Start a manual run and return its id; on Ctrl-C meanwhile, say whether it exists."""
    run_id = f"manual__{datetime.now(UTC).isoformat()}"  # known before the request, to find the run by
    with note_what_continues(session, *_name_and_page(run_id), partial(_find_run, session, run_id)):
        return trigger(session.airflow, conf, run_id=run_id)


def _name_and_page(run_id: str) -> tuple[str, str]:
    return f"The run {run_id}", f"runs/{quote(run_id, safe='')}"


def _find_run(session: Session, run_id: str) -> str:
    """Return the run's name when Airflow has it; Airflow may still be serving the interrupted request.

    :raises AirflowApiError: it does not have it yet, or does not respond.
    """
    airflow, deadline = session.airflow, time.monotonic() + _REQUEST_SECONDS
    while not airflow.get(path_of(run_id)):
        if time.monotonic() > deadline:
            raise AirflowApiError(f"Airflow has no run {run_id} yet.")
        time.sleep(0.2)
    return _name_and_page(run_id)[0]


def follow(session: Session, run_id: str, show: Callable[[str], None], dag_id: str = DAG_ID) -> str:
    """Wait for a run's end, showing its state every half second, and return its final state, or "deleted"."""
    airflow = session.airflow
    with note_what_continues(session, *_name_and_page(run_id)):
        while True:
            state = str(airflow.get(path_of(run_id, dag_id)).get("state", "deleted"))
            if state in (*FINAL, "deleted"):
                return state
            show(state)
            session.check()
            time.sleep(0.5)


@contextmanager
def note_what_continues(
    session: Session, what: str, page: str, find: Callable[[], str] | None = None
) -> Iterator[None]:
    """On Ctrl-C, say what continues in another command's Airflow, and which page shows it.

    :param find: asks Airflow what was created, where Ctrl-C may come before that; empty: nothing.
    """
    try:
        yield
    except KeyboardInterrupt:
        if session.owned:
            raise
        address = f"{session.address}/dags/{DAG_ID}/{page}"
        raise KeyboardInterrupt(_what_continues(what, address, find)) from None


def _what_continues(what: str, address: str, find: Callable[[], str] | None) -> str:
    try:
        found = find() if find else what
    except (AirflowApiError, KeyboardInterrupt):
        return f"Stopped. {what} may have been created: Airflow did not say. If so, it continues: {address}"
    if not found:
        return f"Stopped. {what} was not created."
    return f"Stopped watching. {found} continues in the Airflow of `make up`: {address}"


def runs(airflow: Airflow, dag_id: str = DAG_ID, **filters: Any) -> list[dict[str, Any]]:
    """Return the DAG's runs, newest first."""
    found: list[dict[str, Any]] = []
    while True:
        where = {"order_by": "-id", "limit": _PAGE, "offset": len(found)}
        page = airflow.get(f"dags/{dag_id}/dagRuns", **where, **filters).get("dag_runs", [])
        found += page
        if len(page) < _PAGE:
            return found


def reasons(airflow: Airflow, run_id: str, dag_id: str = DAG_ID) -> str:
    """Return why a run failed: its tasks' error messages, a line each, the first failure first."""
    path = f"{path_of(run_id, dag_id)}/taskInstances"
    tasks = airflow.get(path, state="failed", limit=200).get("task_instances", [])
    tasks.sort(key=lambda task: task["end_date"] or "")
    tasks = [task for task in tasks if task["task_id"] != "finish"] or tasks  # it fails after other tasks
    messages = dict.fromkeys(_reason(airflow, path, task) for task in tasks[:20])
    more = [f"… and {len(messages) - _MAX_REASONS} other reasons."] if len(messages) > _MAX_REASONS else []
    return (
        "\n".join([*list(messages)[:_MAX_REASONS], *more])
        or f"The run {run_id} failed without a failed task."
    )


def set_note(airflow: Airflow, run_id: str, why: str = "") -> None:
    """Set a run's note in Airflow's UI to its result, which a task can't do; failing to is no error.

    :param why: the reason of a failure; empty: the run succeeded, and its last task returned the result.
    """
    path = path_of(run_id)
    with suppress(AirflowApiError):
        returned = airflow.get(f"{path}/taskInstances/finish/xcomEntries/return_value").get("value")
        if text := why or (summary(returned) if returned else ""):
            airflow.patch(path, {"note": text[:_MAX_NOTE_CHARS]})


def _is_parsed(airflow: Airflow, dag_id: str, since: float) -> bool:
    """Whether Airflow has parsed the DAG's file after that moment."""
    for error in airflow.get("importErrors", limit=100).get("import_errors", []):
        if f"{dag_id}.py" in error["filename"] and moment(error["timestamp"]) >= since:
            raise LocalError(
                f"{error['filename']} does not load: {error['stack_trace'].strip().splitlines()[-1]}"
            )
    parsed = airflow.get(f"dags/{dag_id}").get("last_parsed_time")
    return bool(parsed) and moment(parsed) >= since


def moment(written: Any) -> float:
    """Convert the API's timestamp to seconds since 1970."""
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
    # Our errors are sentences; Python's own (KeyError: 'x') say little without their class.
    expected = not hasattr(builtins, error["exc_type"]) and sentence
    return sentence if expected else f"The task {task['task_id']} failed: {error['exc_type']}: {sentence}"
