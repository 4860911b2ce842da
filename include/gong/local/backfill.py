"""Runs past days, one run per day, through Airflow's REST API for backfills, and prints each result."""

import time
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from include.gong.local.airflow_api import AirflowApiError
from include.gong.local.connections import GONG, WAREHOUSE, connection_in, variable
from include.gong.local.output import Output
from include.gong.local.probe import ask
from include.gong.local.progress import Warehouse
from include.gong.local.runs import (
    UNFINISHED,
    follow,
    make_ready,
    note_what_continues,
    reasons,
    runs,
    set_note,
)
from include.gong.local.session import Session
from include.gong.local.settings import DAG_ID, LocalError
from include.gong.sync.summary import counted
from include.gong.warehouse.backfill_estimate import Estimate, estimate_calls
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.migrate import is_current

_UPPER_BOUND = "at most one listing, and one history per user"
_COMPLETE_AFTER = timedelta(minutes=15)
"""Time after a day's end from which a response is complete through it: 10 minutes until a change shows, 5 for
Gong's clock."""
_CREATE_SECONDS = 600.0
_CLOSE_SECONDS = 60.0
"""Airflow marks a backfill as complete up to half a minute after its last run."""


def check_days(begin: date, end: date, now: datetime | None = None) -> str:
    """Return why these days can't be run; empty: they are in order and over."""
    if begin > end:
        return f"{begin} is after {end}."
    newest = ((now or datetime.now(UTC)) - _COMPLETE_AFTER).date() - timedelta(days=1)
    if end <= newest:
        return ""
    return (
        f"{end} is not over yet: the last complete day is {newest} (UTC; a day is complete from 00:15, when "
        "its last changes show)."
    )


def request(begin: date, end: date) -> dict[str, Any]:
    """Return the body of Airflow's request for these days; for Airflow a day is at 00:30, the cron's time."""
    return {
        "dag_id": DAG_ID,
        "from_date": f"{begin}T00:00:00+00:00",
        "to_date": f"{end}T23:59:59+00:00",
        "max_active_runs": 1,
        "reprocess_behavior": "completed",
    }


def backfill(session: Session, output: Output, begin: date, end: date) -> list[dict[str, Any]]:
    """Run the days one after the other, print a line each, and return what came of each."""
    output.doing(f"Reading the DAG {DAG_ID}")
    make_ready(session, say=output.say)
    output.doing("Creating a run for each day")
    wanted = {str(begin + timedelta(days=number)) for number in range((end - begin).days + 1)}
    before = _newest(session)
    with note_what_continues(
        session, "The backfill", "backfills", lambda: "The backfill" if _newest(session) > before else ""
    ):
        made = _create(session, begin, end)
        # Only one backfill of a DAG is open at a time, so these are its runs.
        found = runs(session.airflow, run_type="backfill", start_date_gte=made["created_at"])
    ours = {run["partition_key"]: run["dag_run_id"] for run in found if run["partition_key"] in wanted}
    results = [{"day": day, "state": "skipped"} for day in sorted(wanted - ours.keys())]
    for skipped in results:
        output.say(f"{skipped['day']} · skipped: a run for it is under way")
    warehouse = Warehouse(session.warehouse_url)
    with note_what_continues(session, "The backfill", "backfills"):
        for number, (day, run_id) in enumerate(sorted(ours.items()), 1):
            show = partial(_show, output, f"{day} ({number} of {len(ours)})")
            state = follow(session, run_id, show)
            results.append(_result(session, output, day, run_id, state, warehouse))
    _close(session, made["id"])
    return sorted(results, key=lambda result: str(result["day"]))


def _show(output: Output, day: str, state: str) -> None:
    output.doing(f"{day} is {state}")


def _create(session: Session, begin: date, end: date) -> dict[str, Any]:
    deadline = time.monotonic() + _CLOSE_SECONDS
    while True:
        try:
            return session.airflow.post("backfills", request(begin, end), timeout_s=_CREATE_SECONDS)
        except AirflowApiError as error:
            is_open = error.status == 409 and runs(session.airflow, run_type="backfill", state=UNFINISHED)
            if is_open or (error.status == 409 and time.monotonic() > deadline):
                raise LocalError(
                    "Another backfill is open, and Airflow runs one at a time: wait for it, or cancel it on "
                    f"{session.address}/dags/{DAG_ID}/backfills."
                ) from None
            if error.status != 409:
                raise
        session.check()
        time.sleep(1)


def _newest(session: Session) -> int:
    """Return the id of the DAG's newest backfill; 0: there is none."""
    found = session.airflow.get("backfills", dag_id=DAG_ID, order_by="-id", limit=1).get("backfills", [])
    return int(found[0]["id"]) if found else 0


def _close(session: Session, number: int) -> None:
    """Mark the finished backfill as complete, before Airflow does."""
    try:
        session.airflow.put(f"backfills/{number}/cancel")
    except AirflowApiError as error:
        if error.status != 409:  # Airflow was faster
            raise


def _result(
    session: Session, output: Output, day: str, run_id: str, state: str, warehouse: Warehouse
) -> dict[str, Any]:
    row = warehouse.run(run_id)
    result: dict[str, Any] = {"day": day, "run_id": run_id, "state": state}
    parts = [day, state]
    if row:
        result |= {name: row[name] for name in ("histories_fetched", "calls_made", "histories_remaining")}
        parts += [f"{row['histories_fetched']:,} histories", f"{row['calls_made']:,} calls"]
        parts += [f"{row['histories_remaining']:,} remaining"] if row["histories_remaining"] else []
    output.say(" · ".join(parts))
    if state == "failed":
        result["error"] = reasons(session.airflow, run_id)
        output.say(result["error"])
    if state != "deleted":
        set_note(session.airflow, run_id, result.get("error", ""))
    return result


def estimate(session: Session, begin: date, end: date) -> tuple[str, dict[str, Any]]:
    """Return a sentence and fields on the calls of these days; where no user was listed, it makes one call.

    :raises LocalError: Gong can't be reached.
    :raises WarehouseError: the warehouse can't be reached.
    """
    found, reason = _estimate(session, end)
    fields: dict[str, Any] = {"from": begin, "to": end, "calls": None, "pages": None, "histories": None}
    days = f"{begin} to {end}" if begin < end else str(begin)
    if found is None:
        return f"{days}: {_UPPER_BOUND}. The number is not known yet: {reason}.", fields
    fields |= {"calls": found.calls, "pages": found.pages, "histories": found.histories}
    return describe_estimate(days, found), fields


def describe_estimate(days: str, estimate: Estimate) -> str:
    """Return an estimate as a sentence."""
    if not estimate.calls:
        return f"{days}: 0 calls. All of it is stored already."
    return (
        f"{days}: {counted(estimate.calls, 'call')}: {estimate.pages:,} to list the users, "
        f"{estimate.histories:,} histories. Retries come on top; histories beyond the day's limit remain for "
        "later runs."
    )


def _estimate(session: Session, end: date) -> tuple[Estimate | None, str]:
    """Return the estimate, or the reason why there is none."""
    engine = engine_for(session.warehouse_url)
    current = is_current(engine)
    if current:
        with transaction(engine) as connection:
            found = estimate_calls(connection, end, datetime.now(UTC))
        if found:
            return found, ""
    if current is False:
        return None, "the warehouse's tables are of an earlier version, which the first run upgrades"
    given = {variable(name): connection_in(session.environment, name) for name in (GONG, WAREHOUSE)}
    size = ask(session.environment | given, "users", GONG)
    everything = None if size["users"] is None else Estimate(size["pages"], size["users"])
    return everything, "Gong does not say how many users there are"
