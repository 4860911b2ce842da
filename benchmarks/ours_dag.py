"""Ours, whole: the DAG gong_users_sync on a real Airflow with the LocalExecutor.

``seconds`` is the run's duration by Airflow's API, with all that Airflow does between tasks, but without
Airflow's start. ``trigger_seconds`` counts from the trigger.
"""

from __future__ import annotations

from benchmarks.airflow_run import airflow, run_dag
from benchmarks.contestant import contest
from benchmarks.ours_load import CHANGES_SQL, USERS_SQL

__all__ = ["CHANGES_SQL", "USERS_SQL"]


def load(gong: str, postgres: str, users: int) -> dict[str, object]:
    """Run the DAG once."""
    with airflow() as api:
        return run_dag(api, "gong_users_sync", gong, postgres)


if __name__ == "__main__":
    contest(load)
