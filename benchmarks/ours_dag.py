"""Ours, whole: the DAG gong_users_sync on a real Airflow with the LocalExecutor.

``seconds`` is the run from start to end as Airflow's API says it, with all that Airflow does between tasks;
to start Airflow is no part of it. ``trigger_seconds`` is from the order to run.
"""

from __future__ import annotations

from benchmarks.airflow_run import airflow, run_dag
from benchmarks.contestant import contest
from benchmarks.ours_load import CHANGES_SQL, USERS_SQL

__all__ = ["CHANGES_SQL", "USERS_SQL"]


def load(gong: str, postgres: str, users: int) -> dict[str, object]:
    """One run of the DAG."""
    with airflow() as api:
        return run_dag(api, "gong_users_sync", gong, postgres)


if __name__ == "__main__":
    contest(load)
