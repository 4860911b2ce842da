"""Which histories a run owes, planned into batches: the plan is rows, only batch numbers travel."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict

from sqlalchemy import Connection, text

from include.warehouse.runs import RunKey, set_on_run

_FORGET = text("DELETE FROM history_plan WHERE (dag_id, run_id) = (:dag_id, :run_id)")

_PLAN = text("""
    WITH owed AS (
        SELECT user_id,
               row_number() OVER (ORDER BY history_fetched_at NULLS FIRST, user_id) - 1 AS position,
               greatest(:batch_size, (count(*) OVER () + :max_batches - 1) / :max_batches) AS size
        FROM owed_histories
        WHERE (dag_id, run_id) = (:dag_id, :run_id)
          AND last_seen_at >= coalesce(CAST(:listed_since AS timestamptz), '-infinity')
          AND (CAST(:user_ids AS text[]) IS NULL OR user_id = ANY (CAST(:user_ids AS text[])))
          AND (NOT :by_created OR user_id IN (
                SELECT user_id FROM user_facts
                WHERE created >= coalesce(CAST(:created_from AS timestamptz), '-infinity')
                  AND created < coalesce(CAST(:created_to AS timestamptz), 'infinity')))
    )
    INSERT INTO history_plan (dag_id, run_id, user_id, batch, position)
    SELECT :dag_id, :run_id, user_id, position / size + 1, position FROM owed
""")

_BATCHES = text("""
    SELECT batch, count(*) AS users
    FROM history_plan
    WHERE (dag_id, run_id) = (:dag_id, :run_id)
    GROUP BY batch
    ORDER BY batch
""")

_IDS_OF_BATCH = text("""
    SELECT user_id
    FROM history_plan JOIN owed_histories USING (dag_id, run_id, user_id)
    WHERE (dag_id, run_id, batch) = (:dag_id, :run_id, :batch)
    ORDER BY position
""")

_FAILED = text("""
    SELECT count(*)
    FROM history_plan JOIN user_marks USING (user_id)
    WHERE (dag_id, run_id) = (:dag_id, :run_id) AND history_failed_at IS NOT NULL
""")

_PURGE = text("""
    DELETE FROM history_plan USING sync_runs
    WHERE (history_plan.dag_id, history_plan.run_id) = (sync_runs.dag_id, sync_runs.run_id)
      AND sync_runs.started_at < :before
""")


class BatchDescriptor(TypedDict):
    """Batch ``batch`` (from 1) of ``of``, with ``users`` users."""

    batch: int
    of: int
    users: int


def plan_histories(
    connection: Connection,
    run: RunKey,
    *,
    listed_since: datetime | None = None,
    user_ids: Sequence[str] | None = None,
    created: tuple[datetime | None, datetime | None] | None = None,
    max_batches: int = 36,
    batch_size: int = 100,
) -> list[BatchDescriptor]:
    """Replace the run's plan by the users whose history it owes, never fetched first, then oldest.

    A user is owed until his history covers the run's day, where it has one that is over, else until
    it was fetched since the run's ``histories_since``; one that failed or was gone since then is not.

    :param listed_since: only users answered since then.
    :param user_ids: only these; unknown ones are left out.
    :param created: only users created in [from, to); None leaves an end open.
    :param max_batches: batches grow beyond ``batch_size`` rather than become more than these.
    :raises WarehouseError: the run was never opened.
    """
    created_from, created_to = created or (None, None)
    choice = {
        "listed_since": listed_since,
        "user_ids": None if user_ids is None else list(user_ids),
        "by_created": created is not None,
        "created_from": created_from,
        "created_to": created_to,
        "max_batches": max_batches,
        "batch_size": batch_size,
    }
    connection.execute(_FORGET, run._asdict())
    planned = connection.execute(_PLAN, run._asdict() | choice).rowcount
    set_on_run(connection, run, {"histories_planned": planned})
    batches = connection.execute(_BATCHES, run._asdict()).all()
    return [BatchDescriptor(batch=row.batch, of=len(batches), users=row.users) for row in batches]


def ids_of_batch(connection: Connection, run: RunKey, batch: int) -> list[str]:
    """The users of a batch whose history is still owed, in the plan's order."""
    return list(connection.scalars(_IDS_OF_BATCH, run._asdict() | {"batch": batch}))


def failed_histories(connection: Connection, run: RunKey) -> int:
    """How many of the run's users have a history that failed when it was asked last."""
    failed: int = connection.execute(_FAILED, run._asdict()).scalar_one()
    return failed


def purge_plans(connection: Connection, before: datetime) -> None:
    """Forget the plans of runs that started before a moment."""
    connection.execute(_PURGE, {"before": before})
