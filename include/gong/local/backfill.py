"""Past days, one run a day: Airflow's own backfill command, and what came of it."""

import re
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

from include.gong.local.estimate import foretell
from include.gong.local.progress import Warehouse
from include.gong.local.runs import FINAL, close_backfills, goes_on, make_ready, note, path_of, reasons, runs
from include.gong.local.session import Session
from include.gong.local.settings import DAG_ID, ROOT, LocalError

_USE = "Use: make backfill FROM=2026-01-01 TO=2026-01-03 (days in UTC, TO included)."
_SHOWS = timedelta(minutes=15)
"""So long after a day's end an answer covers it: 10 minutes until a change shows, 5 for Gong's clock."""


def days(first: str | None, last: str | None, now: datetime | None = None) -> tuple[date, date]:
    """The days asked for, checked: both given, in order, and over, so that answers can cover them."""
    parsed = []
    for name, value in (("FROM", first), ("TO", last)):
        if not value:
            raise LocalError(f"{name} is missing. {_USE}")
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            raise LocalError(f"{name}={value} is not a day. {_USE}")
        try:
            parsed.append(date.fromisoformat(value))
        except ValueError:
            raise LocalError(f"{name}={value} is not a day of the calendar. {_USE}") from None
    begin, end = parsed
    if begin > end:
        raise LocalError(f"FROM={begin} is after TO={end}. {_USE}")
    newest = ((now or datetime.now(UTC)) - _SHOWS).date() - timedelta(days=1)
    if end > newest:
        raise LocalError(
            f"TO={end} is not over yet: the last day that is over is {newest} (UTC; a day ends for us at "
            "00:15, when its last changes show)."
        )
    return begin, end


def command(begin: date, end: date) -> list[str]:
    """Airflow's command for these days. A day's place in its range is 00:30, the cron's time on that day."""
    arguments = ["--from-date", f"{begin}T00:00:00+00:00", "--to-date", f"{end}T23:59:59+00:00"]
    arguments += ["--max-active-runs", "1", "--reprocess-behavior", "completed"]
    return [sys.executable, "-m", "airflow", "backfill", "create", "--dag-id", DAG_ID, *arguments]


def backfill(session: Session, begin: date, end: date) -> bool:
    """Run the days one after the other, print a line each; whether all succeeded."""
    print(foretell(session, begin, end), flush=True)
    make_ready(session)
    print("Backfilling, one run a day …", flush=True)
    with goes_on(session, "What was begun of the backfill", "backfills"):
        return _backfill(session, begin, end)


def _backfill(session: Session, begin: date, end: date) -> bool:
    known = {run["dag_run_id"] for run in _backfill_runs(session)}
    made = subprocess.run(
        command(begin, end), cwd=ROOT, env=session.environment, capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise LocalError(f"Airflow made no backfill: {(made.stderr or made.stdout).strip().splitlines()[-1]}")
    ours = {run["dag_run_id"]: run for run in _backfill_runs(session) if run["dag_run_id"] not in known}
    left_out = (end - begin).days + 1 - len(ours)
    if left_out:
        print(f"{left_out} days are left out: a run about them is under way.", file=sys.stderr)
    succeeded = watch(session, set(ours))
    close_backfills(session.airflow)
    return succeeded and not left_out


def watch(session: Session, waiting: set[str]) -> bool:
    """Print a line a run as it ends; whether all succeeded."""
    warehouse, succeeded = Warehouse(session.warehouse_url), True
    while waiting:
        session.check()
        there = {run["dag_run_id"]: run for run in _backfill_runs(session)}
        for run_id in waiting - there.keys():
            if not session.airflow.get(path_of(run_id)):
                print(f"{run_id} · deleted", flush=True)
                waiting, succeeded = waiting - {run_id}, False
        ended = [there[run_id] for run_id in waiting & there.keys() if there[run_id]["state"] in FINAL]
        for run in sorted(ended, key=lambda run: str(run["partition_key"])):
            waiting.remove(run["dag_run_id"])
            succeeded &= run["state"] == "success"
            _tell(session, run, warehouse)
        time.sleep(0.5)
    return succeeded


def _backfill_runs(session: Session) -> list[dict[str, Any]]:
    return runs(session.airflow, run_type="backfill")


def _tell(session: Session, run: dict[str, Any], warehouse: Warehouse) -> None:
    row = warehouse.run(run["dag_run_id"])
    parts = [run["partition_key"], run["state"]]
    if row:
        parts += [f"{row['histories_fetched']:,} histories", f"{row['calls_made']:,} calls"]
        parts += [f"{row['histories_left']:,} left"] if row["histories_left"] else []
    print(" · ".join(parts), flush=True)
    why = reasons(session.airflow, run["dag_run_id"]) if run["state"] == "failed" else ""
    if why:
        print(why, file=sys.stderr)
    note(session.airflow, run["dag_run_id"], why)
