"""Reads Airflow's own record of the newest sync: one that failed at once has no row in the warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from sqlalchemy import select

DAG_ID = "gong_users_sync"


@dataclass(frozen=True)
class FailedRun:
    """A run that failed; ``ended_at`` may be unknown."""

    run_id: str
    ended_at: datetime | None


def newest_failed_run() -> FailedRun | None:
    """Return the newest ended run of the sync if it failed."""
    newest = (
        select(DagRun.run_id, DagRun.state, DagRun.end_date)
        .where(DagRun.dag_id == DAG_ID, DagRun.state.in_(("success", "failed")))
        .order_by(DagRun.end_date.desc())
        .limit(1)
    )
    with create_session() as session:
        row = session.execute(newest).one_or_none()
    return FailedRun(row.run_id, row.end_date) if row is not None and row.state == "failed" else None
