"""Estimates the calls of a backfill, by planning its run in a transaction that is rolled back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection

from include.gong.warehouse import plan, runs
from include.gong.warehouse.runs import RunKey


@dataclass(frozen=True, slots=True)
class Estimate:
    """Calls to make: ``pages`` of the list of users, and ``histories``. Retries come on top."""

    pages: int
    histories: int

    @property
    def calls(self) -> int:
        """All calls."""
        return self.pages + self.histories


def estimate_calls(connection: Connection, last_day: date, at: datetime) -> Estimate | None:
    """Estimate the calls of runs for all days up to one that is over; None: there is no listing yet.

    Users who joined or were deleted since the newest listing are not known. It changes nothing, but needs the
    loader's rights: it plans a run for the last day and rolls that back.
    """
    newest = runs.newest_listing(connection)
    if newest is None:
        return None
    covered = runs.listing_covers(connection, datetime.combine(last_day, time(), UTC) + timedelta(days=1))
    run = RunKey("estimate", f"estimate {last_day}")
    with connection.begin_nested() as trial:
        runs.open_run(connection, run, started_at=at, day=last_day, history="auto", scope="everyone")
        batches = plan.plan_histories(connection, run, listed_since=newest.started_at)
        trial.rollback()
    return Estimate(0 if covered else newest.pages, sum(batch["users"] for batch in batches))
