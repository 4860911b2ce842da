"""The first version of many a DAG (naive_dags/naive.py) on the same Airflow as ours; timed as ours is."""

from __future__ import annotations

from benchmarks.airflow_run import airflow, run_dag
from benchmarks.contestant import contest
from benchmarks.plain_script import CHANGES_SQL, USERS_SQL

__all__ = ["CHANGES_SQL", "USERS_SQL"]

MOST_USERS = 200
"""More mapped tasks than Airflow takes by default (1,024) can't be; fewer are slow enough."""


def load(gong: str, postgres: str, users: int) -> dict[str, object]:
    """One run of the DAG."""
    with airflow() as api:
        return run_dag(api, "naive", gong, postgres)


if __name__ == "__main__":
    contest(load)
