"""Plans the settings histories of a run into batches within its budget, and claims them for a task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypedDict

from psycopg2.errors import LockNotAvailable
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from gong_provider.client.models import ClaimResult
from gong_provider.db.schema import search_path
from include.gong.warehouse.erasures import BLOCK_ERASURES, block_erasures
from include.gong.warehouse.runs import RunKey, set_on_run

# Rows of requested histories stay in the plan when the run is planned again.
_REMOVE_PLANNED = text("""
    DELETE FROM history_plan WHERE (dag_id, run_id) = (:dag_id, :run_id) AND status = 'planned'
""")

# The first half of the budget goes to the oldest coverage, the second to changed users; each half gets the
# unused rest of the other. Both halves advance together, should the day end before the plan does.
# Of users never requested, active ones come first: inactive ones record nothing now. Failed users were
# requested: they come after all others, or a few that always fail would take half of each day's budget.
_PLAN = text("""
    WITH pending AS (
        SELECT user_id, history_fetched_at, history_pending_since IS NOT NULL AS is_changed,
               row_number() OVER (
                   ORDER BY requested_at NULLS FIRST, active IS FALSE, user_id) AS age_rank
        FROM history_backlog
        JOIN (
            SELECT user_id,
                   greatest(history_fetched_at, history_failed_at, history_not_found_at) AS requested_at
            FROM user_sync_state
        ) AS state USING (user_id)
        LEFT JOIN (SELECT user_id, active FROM user_versions WHERE is_current) AS profile USING (user_id)
        WHERE (dag_id, run_id) = (:dag_id, :run_id)
          AND last_seen_at >= coalesce(CAST(:listed_since AS timestamptz), '-infinity')
          AND (NOT :only_changed OR history_pending_since IS NOT NULL OR history_fetched_at IS NULL)
          AND (CAST(:user_ids AS text[]) IS NULL OR user_id = ANY (CAST(:user_ids AS text[])))
          AND (NOT :by_created OR user_id IN (
                SELECT user_id FROM user_versions
                WHERE is_current
                  AND created >= coalesce(CAST(:created_from AS timestamptz), '-infinity')
                  AND created < coalesce(CAST(:created_to AS timestamptz), 'infinity')))
    ), halves AS (
        SELECT *, CASE WHEN age_rank <= (CAST(:budget AS integer) + 1) / 2 THEN 0
                       WHEN is_changed THEN 1 ELSE 2 END AS half
        FROM pending
    ), ranked AS (
        SELECT *, row_number() OVER (ORDER BY half, age_rank) AS choice,
               row_number() OVER (PARTITION BY half ORDER BY age_rank) AS turn
        FROM halves
    ), chosen AS (
        SELECT *, count(*) OVER () AS number,
               row_number() OVER (ORDER BY half = 2, turn, half) - 1 AS position
        FROM ranked
        WHERE choice <= coalesce(CAST(:budget AS integer), choice)
    ), planned AS (
        INSERT INTO history_plan (dag_id, run_id, user_id, batch, position, reason)
        SELECT :dag_id, :run_id, user_id,
               position % greatest(1, least(:batches, (number + :smallest - 1) / :smallest)) + 1, position,
               CASE WHEN history_fetched_at IS NULL THEN 'never'
                    WHEN is_changed THEN 'changed' ELSE 'oldest' END
        FROM chosen ORDER BY user_id
        ON CONFLICT (dag_id, run_id, user_id) DO UPDATE
        SET (batch, position, reason, status, requested_at)
            = ROW (excluded.batch, excluded.position, excluded.reason, excluded.status, NULL)
        RETURNING 1
    ), requested AS (
        SELECT user_id FROM history_plan WHERE (dag_id, run_id) = (:dag_id, :run_id)
    )
    SELECT (SELECT count(*) FROM pending)
           + (SELECT count(*) FROM requested WHERE user_id NOT IN (SELECT user_id FROM pending)) AS pending,
           (SELECT count(*) FROM planned)
           + (SELECT count(*) FROM requested WHERE user_id NOT IN (SELECT user_id FROM chosen)) AS planned
""")

_BATCHES = text("""
    SELECT batch, count(*) AS users
    FROM history_plan
    WHERE (dag_id, run_id) = (:dag_id, :run_id) AND status = 'planned'
    GROUP BY batch
    ORDER BY batch
""")

_IDS_OF_BATCH = text("""
    SELECT user_id
    FROM history_plan JOIN history_backlog USING (dag_id, run_id, user_id)
    WHERE (dag_id, run_id, batch) = (:dag_id, :run_id, :batch)
    ORDER BY position
""")

# A claim is valid while its run is running and a call may take.
_IS_FREE = """
    (stored.dag_id, stored.run_id) = (%(dag_id)s, %(run_id)s)
    OR stored.claimed_at < clock_timestamp() - %(lease)s::interval
    OR NOT EXISTS (SELECT FROM sync_runs
                   WHERE (sync_runs.dag_id, sync_runs.run_id) = (stored.dag_id, stored.run_id)
                     AND state = 'running')
"""

# One message: a call's slot begins meanwhile. The claims are written in a fixed order, because that locks.
_CLAIM = f"""
    SELECT set_config('search_path', %(search_path)s, true), set_config('jit', 'off', true),
           set_config('lock_timeout', %(lock_timeout)s, true);
    {BLOCK_ERASURES};
    WITH pending AS MATERIALIZED (
        SELECT backlog.user_id, place, ({_IS_FREE}) IS TRUE AS is_free
        FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS given (user_id, place)
        JOIN history_backlog AS backlog USING (user_id)
        LEFT JOIN history_claims AS stored USING (user_id)
        WHERE (backlog.dag_id, backlog.run_id) = (%(dag_id)s, %(run_id)s)
    ), chosen AS (
        SELECT user_id FROM pending WHERE is_free ORDER BY place LIMIT %(limit)s
    ), claimed AS (
        INSERT INTO history_claims AS stored (user_id, dag_id, run_id, claimed_at)
        SELECT user_id, %(dag_id)s, %(run_id)s, clock_timestamp() FROM chosen ORDER BY user_id
        ON CONFLICT (user_id) DO UPDATE
        SET (dag_id, run_id, claimed_at) = ROW (excluded.dag_id, excluded.run_id, excluded.claimed_at)
        WHERE {_IS_FREE}
        RETURNING user_id
    )
    SELECT user_id, CASE WHEN claimed.user_id IS NOT NULL THEN 'claimed'
                         WHEN is_free AND chosen.user_id IS NULL THEN 'free' ELSE 'contended' END AS result
    FROM pending LEFT JOIN chosen USING (user_id) LEFT JOIN claimed USING (user_id)
"""  # noqa: S608 (constants)

_REMAINING = text("""
    SELECT histories_pending - histories_planned
           + (SELECT count(*) FROM history_plan JOIN history_backlog USING (dag_id, run_id, user_id)
              WHERE (dag_id, run_id) = (:dag_id, :run_id))
    FROM sync_runs WHERE (dag_id, run_id) = (:dag_id, :run_id)
""")

_FAILED = text("""
    SELECT count(*)
    FROM history_plan JOIN user_sync_state USING (user_id)
    WHERE (dag_id, run_id) = (:dag_id, :run_id) AND status = 'failed' AND history_failed_at IS NOT NULL
""")

_PURGE = text("""
    DELETE FROM history_plan USING sync_runs
    WHERE (history_plan.dag_id, history_plan.run_id) = (sync_runs.dag_id, sync_runs.run_id)
      AND sync_runs.started_at < :before
      AND state <> 'running'
""")

_PURGE_CLAIMS = text("DELETE FROM history_claims WHERE claimed_at < :before")

SMALLEST_BATCH = 25
_LEASE = timedelta(minutes=3)  # the most that a call takes, with its retries
_CLAIM_WAITS_MS = 20


class BatchDescriptor(TypedDict):
    """Batch ``batch`` (from 1) of ``of``, with ``users`` users."""

    batch: int
    of: int
    users: int


def plan_histories(
    connection: Connection,
    run: RunKey,
    *,
    budget: int | None = None,
    only_changed: bool = False,
    listed_since: datetime | None = None,
    user_ids: Sequence[str] | None = None,
    created: tuple[datetime | None, datetime | None] | None = None,
    batches: int = 4,
) -> list[BatchDescriptor]:
    """Plan the pending histories that the budget allows, in place of those planned and not requested yet.

    A history is pending until it covers the run's day, if that is over, else until it was fetched since the
    run's ``histories_since``. One that failed or was not found since then is not pending.

    :param budget: the most calls to plan; None: no bound.
    :param only_changed: only those whose settings or active flag changed, or who were never fetched.
    :param listed_since: only users returned since then.
    :param user_ids: only these; unknown ones are skipped.
    :param created: only users created in [from, to); None leaves an end open.
    :param batches: how many at most; fewer where they would be small.
    :raises WarehouseError: the run was never opened.
    """
    created_from, created_to = created or (None, None)
    choice = {
        "budget": budget,
        "only_changed": only_changed,
        "listed_since": listed_since,
        "user_ids": None if user_ids is None else list(user_ids),
        "by_created": created is not None,
        "created_from": created_from,
        "created_to": created_to,
        "batches": batches,
        "smallest": SMALLEST_BATCH,
    }
    block_erasures(connection)
    connection.execute(_REMOVE_PLANNED, run._asdict())
    pending, planned = connection.execute(_PLAN, run._asdict() | choice).one()
    set_on_run(connection, run, {"histories_pending": pending, "histories_planned": planned})
    rows = connection.execute(_BATCHES, run._asdict()).all()
    return [BatchDescriptor(batch=row.batch, of=len(rows), users=row.users) for row in rows]


def ids_of_batch(connection: Connection, run: RunKey, batch: int) -> list[str]:
    """Return the users of a batch whose history is still pending, in the plan's order."""
    return list(connection.scalars(_IDS_OF_BATCH, run._asdict() | {"batch": batch}))


def claim(connection: Connection, run: RunKey, ids: Sequence[str], limit: int) -> ClaimResult:
    """Claim the first users whose history no run has fetched since this one began or is fetching now.

    One message. While an erasure or another claim has locked a row or table, all users are contended: the
    caller may hold a call's slot, and must not wait.

    :param limit: how many to claim.
    """
    values = {
        "search_path": search_path(connection.engine.url),
        "lock_timeout": f"{_CLAIM_WAITS_MS}ms",
        "ids": list(ids),
        "limit": limit,
        "lease": _LEASE,
    }
    try:
        rows = connection.exec_driver_sql(_CLAIM, run._asdict() | values).all()
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            return ClaimResult(claimed=set(), contended=set(ids))
        raise
    found = {result: {row.user_id for row in rows if row.result == result} for result in ClaimResult._fields}
    return ClaimResult(**found)


def histories_remaining(connection: Connection, run: RunKey) -> int:
    """Return the number of the run's histories that are still pending."""
    remaining: int | None = connection.scalar(_REMAINING, run._asdict())
    return remaining or 0


def failed_histories(connection: Connection, run: RunKey) -> int:
    """Return the number of histories that failed in this run and that no run has fetched since."""
    failed: int = connection.execute(_FAILED, run._asdict()).scalar_one()
    return failed


def purge_plans(connection: Connection, before: datetime) -> None:
    """Delete the plans of finished runs that started before a moment, and claims from before it."""
    connection.execute(_PURGE, {"before": before})
    connection.execute(_PURGE_CLAIMS, {"before": before})
