"""How far the settings histories are: of whom one is here, and for how many a day it came first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from include.gong.warehouse.deletions import THERE

# As for a complete day: a history that fails, or is gone, is not waited for; nor is it here.
# Plans are kept for a week.
_HEADWAY = text(f"""
    WITH lately AS (
        SELECT dag_id, run_id, started_at FROM sync_runs
        WHERE scope = 'everyone' AND started_at > CAST(:at AS timestamptz) - interval '7 days'
    )
    SELECT count(*) AS users,
           count(*) FILTER (WHERE history_fetched_at IS NULL) AS missing,
           (SELECT count(DISTINCT user_id)
            FROM lately JOIN history_plan USING (dag_id, run_id) JOIN user_marks USING (user_id)
            WHERE reason = 'never' AND history_fetched_at IS NOT NULL) AS lately,
           (SELECT coalesce(CAST(:at AS timestamptz)::date - min(started_at)::date, 0) + 1 FROM lately)
    FROM user_marks
    WHERE {THERE}
      AND last_seen_at >= (SELECT max(started_at) FROM listings)
      AND (history_fetched_at IS NOT NULL OR (history_failed_at IS NULL AND history_gone_at IS NULL))
""")  # noqa: S608 (a constant)


@dataclass(frozen=True, slots=True)
class Headway:
    """How far it is.

    :ivar users: in the newest listing, or seen since; without those whose history could never be had.
    :ivar missing: of these, whose history was never fetched.
    :ivar lately: users whose first history came in the last 7 days, as planned by runs for everyone.
    :ivar days: since the first of those runs, today included.
    """

    users: int
    missing: int
    lately: int
    days: int

    def first_ones_a_day(self, planned: int) -> float | None:
        """What was achieved, with what is planned for today; None: too early to say."""
        came = self.lately + planned
        return came / self.days if self.days > 1 and came else None


def headway(connection: Connection, at: datetime) -> Headway:
    """How far the histories of all users are at a moment."""
    return Headway(*connection.execute(_HEADWAY, {"at": at}).one())
