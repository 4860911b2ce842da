"""Reads the backlog of settings histories: how many were never fetched, and how many are added per day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

# As for a complete day, histories that failed or were not found count neither as missing nor as fetched.
# Plans are kept for a week.
_BACKLOG = text("""
    WITH recent AS (
        SELECT dag_id, run_id, started_at FROM sync_runs
        WHERE scope = 'everyone' AND started_at > CAST(:at AS timestamptz) - interval '7 days'
    )
    SELECT count(*) AS users,
           count(*) FILTER (WHERE history_fetched_at IS NULL) AS missing,
           (SELECT count(DISTINCT user_id)
            FROM recent JOIN history_plan USING (dag_id, run_id) JOIN user_sync_state USING (user_id)
            WHERE reason = 'never' AND history_fetched_at IS NOT NULL) AS recent,
           (SELECT coalesce(CAST(:at AS timestamptz)::date - min(started_at)::date, 0) + 1 FROM recent)
    FROM user_sync_state
    WHERE deleted_at IS NULL
      AND last_seen_at >= (SELECT max(started_at) FROM listings)
      AND (history_fetched_at IS NOT NULL OR (history_failed_at IS NULL AND history_not_found_at IS NULL))
""")


@dataclass(frozen=True, slots=True)
class Backlog:
    """Backlog of the settings histories of all users.

    :ivar users: in the newest listing, or seen since; without those whose history could never be fetched.
    :ivar missing: users among these whose history was never fetched.
    :ivar recent: users whose first history was fetched in the last 7 days, planned by runs for everyone.
    :ivar days: since the first of those runs, today included.
    """

    users: int
    missing: int
    recent: int
    days: int

    def first_fetches_per_day(self, planned: int) -> float | None:
        """Users per day whose first history was fetched, today's planned ones too; None: too early to say."""
        fetched = self.recent + planned
        return fetched / self.days if self.days > 1 and fetched else None


def read_backlog(connection: Connection, at: datetime) -> Backlog:
    """Read the backlog as of a moment."""
    return Backlog(*connection.execute(_BACKLOG, {"at": at}).one())
