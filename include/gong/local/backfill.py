"""Runs past days, one run per day, with Airflow's backfill command, and prints each result."""

import re
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

from include.gong.local.backfill_estimate import estimate_backfill
from include.gong.local.progress import Warehouse
from include.gong.local.runs import (
    FINAL,
    close_backfills,
    make_ready,
    note_what_continues,
    path_of,
    reasons,
    runs,
    set_note,
)
from include.gong.local.session import Session
from include.gong.local.settings import DAG_ID, ROOT, LocalError

_USE = "Use: make backfill FROM=2026-01-01 TO=2026-01-03 (days in UTC, TO included)."
_COMPLETE_AFTER = timedelta(minutes=15)
"""Time after a day's end from which a response is complete through it: 10 minutes until a change shows, 5 for
Gong's clock."""


def days(first: str | None, last: str | None, now: datetime | None = None) -> tuple[date, date]:
    """Check the days: both are given, in order, and over, so that responses can be complete through them."""
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
    newest = ((now or datetime.now(UTC)) - _COMPLETE_AFTER).date() - timedelta(days=1)
    if end > newest:
        raise LocalError(
            f"TO={end} is not over yet: the last complete day is {newest} (UTC; a day is complete from "
            "00:15, when its last changes show)."
        )
    return begin, end


def command(begin: date, end: date) -> list[str]:
    """Return Airflow's command for these days. In Airflow's range, a day is at 00:30, the cron's time."""
    arguments = ["--from-date", f"{begin}T00:00:00+00:00", "--to-date", f"{end}T23:59:59+00:00"]
    arguments += ["--max-active-runs", "1", "--reprocess-behavior", "completed"]
    return [sys.executable, "-m", "airflow", "backfill", "create", "--dag-id", DAG_ID, *arguments]


def backfill(session: Session, begin: date, end: date) -> bool:
    """Run the days one after the other, print a line each, and return whether all succeeded."""
    print(estimate_backfill(session, begin, end), flush=True)
    make_ready(session)
    print("Backfilling, one run a day …", flush=True)
    ours = _create(session, begin, end)
    skipped = (end - begin).days + 1 - len(ours)
    if skipped:
        print(f"{skipped} days are skipped: a run for them is under way.", file=sys.stderr)
    succeeded = watch(session, ours)
    close_backfills(session.airflow)
    return succeeded and not skipped


def _create(session: Session, begin: date, end: date) -> set[str]:
    """Create the backfill and return its runs."""
    newest, known = _newest_backfill(session), _backfill_run_ids(session)

    def find() -> str:
        # Airflow stores the backfill first, then a run for each day: the rest may be missing.
        if _newest_backfill(session) == newest:
            return ""
        created, wanted = len(_backfill_run_ids(session) - known), (end - begin).days + 1
        return f"The backfill, with {created} of {wanted} days," if created < wanted else "The backfill"

    with note_what_continues(session, "The backfill", "backfills", find):
        made = subprocess.run(
            command(begin, end),
            cwd=ROOT,
            env=session.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise LocalError(
                f"Airflow created no backfill: {(made.stderr or made.stdout).strip().splitlines()[-1]}"
            )
        return _backfill_run_ids(session) - known


def watch(session: Session, waiting: set[str]) -> bool:
    """Print a line per run as it ends, and return whether all succeeded."""
    with note_what_continues(session, "The backfill", "backfills"):
        return _watch(session, waiting)


def _watch(session: Session, waiting: set[str]) -> bool:
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
            _print_run(session, run, warehouse)
        time.sleep(0.5)
    return succeeded


def _newest_backfill(session: Session) -> int:
    """Return the id of the DAG's newest backfill; 0: there is none."""
    found = session.airflow.get("backfills", dag_id=DAG_ID, order_by="-id", limit=1).get("backfills", [])
    return int(found[0]["id"]) if found else 0


def _backfill_run_ids(session: Session) -> set[str]:
    return {run["dag_run_id"] for run in _backfill_runs(session)}


def _backfill_runs(session: Session) -> list[dict[str, Any]]:
    return runs(session.airflow, run_type="backfill")


def _print_run(session: Session, run: dict[str, Any], warehouse: Warehouse) -> None:
    row = warehouse.run(run["dag_run_id"])
    parts = [run["partition_key"], run["state"]]
    if row:
        parts += [f"{row['histories_fetched']:,} histories", f"{row['calls_made']:,} calls"]
        parts += [f"{row['histories_remaining']:,} remaining"] if row["histories_remaining"] else []
    print(" · ".join(parts), flush=True)
    why = reasons(session.airflow, run["dag_run_id"]) if run["state"] == "failed" else ""
    if why:
        print(why, file=sys.stderr)
    set_note(session.airflow, run["dag_run_id"], why)
