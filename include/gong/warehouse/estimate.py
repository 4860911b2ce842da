"""What covering the days up to one of them would cost, found out by planning it and taking that back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection

from include.gong.warehouse import plan, runs
from include.gong.warehouse.runs import RunKey


@dataclass(frozen=True, slots=True)
class Forecast:
    """The calls that are owed: ``pages`` of the list of users, and ``histories``. Retries come on top."""

    pages: int
    histories: int

    @property
    def calls(self) -> int:
        """All of them."""
        return self.pages + self.histories


def forecast(connection: Connection, last_day: date, at: datetime) -> Forecast | None:
    """What runs about days up to one that is over, begun now, would call; None: nobody was ever listed.

    Whoever came or left since the newest listing is not known. Leaves no trace, but needs the loader's
    rights: it plans a run as the last day's would be planned, and rolls that back.
    """
    newest = runs.newest_listing(connection)
    if newest is None:
        return None
    covered = runs.listing_covers(connection, datetime.combine(last_day, time(), UTC) + timedelta(days=1))
    run = RunKey("forecast", f"forecast {last_day}")
    with connection.begin_nested() as trial:
        runs.open_run(connection, run, started_at=at, day=last_day, history="auto", scope="everyone")
        batches = plan.plan_histories(connection, run, listed_since=newest.started_at)
        trial.rollback()
    return Forecast(0 if covered else newest.pages, sum(batch["users"] for batch in batches))
