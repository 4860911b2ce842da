"""A naive first DAG (naive_dags/naive.py), on the same Airflow and timed the same way as ours."""

from __future__ import annotations

from benchmarks.airflow_run import airflow, run_dag
from benchmarks.contestant import contest
from benchmarks.plain_script import CHANGES_SQL, USERS_SQL

__all__ = ["CHANGES_SQL", "USERS_SQL"]

MOST_USERS = 200
"""Airflow allows 1,024 mapped tasks by default; even 200 are slow enough."""


def load(gong: str, postgres: str, users: int) -> dict[str, object]:
    """Run the DAG once."""
    with airflow() as api:
        return run_dag(api, "naive", gong, postgres)


if __name__ == "__main__":
    contest(load)
