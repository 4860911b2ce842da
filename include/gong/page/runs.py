"""One run: what it did, in numbers and words, and what the checks after it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from include.gong.page.db import Row, read_rows
from include.gong.page.reports.data_quality import CHECK_COLUMNS
from include.gong.page.table import Column, Table

_RUN = "SELECT * FROM sync_runs WHERE (dag_id, run_id) = (:dag_id, :run_id)"
_CHECKS = """
    SELECT passed, severity, check_name, sentence, found, allowed, checked_at
    FROM check_results
    WHERE (dag_id, run_id) = (:dag_id, :run_id)
    ORDER BY passed, severity, check_name
"""
_ODDITIES = """
    SELECT kind, count FROM run_oddities WHERE (dag_id, run_id) = (:dag_id, :run_id) ORDER BY kind
"""


@dataclass(frozen=True)
class Run:
    """A run of a DAG that loads.

    :param facts: its row of sync_runs.
    :param oddities: what it met and could handle, counted by kind.
    """

    facts: Mapping[str, Any]
    checks: Table
    oddities: Table


def run(connection: Connection, dag_id: str, run_id: str) -> Run | None:
    """A run by its names in Airflow; None: none of this name has loaded anything."""
    key = {"dag_id": dag_id, "run_id": run_id}
    found: list[Row] = read_rows(_RUN, connection, **key)
    if not found:
        return None
    oddities = read_rows(_ODDITIES, connection, **key)
    return Run(
        found[0],
        Table(CHECK_COLUMNS, read_rows(_CHECKS, connection, **key)),
        Table((Column("kind", "What"), Column("count", "How often", "number")), oddities),
    )
