"""The page of one run: its row of sync_runs, results of its checks, and anomalies."""

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
_ANOMALIES = """
    SELECT kind, count::bigint AS count
    FROM sync_runs CROSS JOIN LATERAL jsonb_each_text(anomalies) AS each (kind, count)
    WHERE (dag_id, run_id) = (:dag_id, :run_id)
    ORDER BY kind
"""


@dataclass(frozen=True)
class Run:
    """A run of a DAG that loads.

    :param row: its row of sync_runs.
    :param anomalies: anomalies of Gong's responses that it handled, counted by kind.
    """

    row: Mapping[str, Any]
    checks: Table
    anomalies: Table


def run(connection: Connection, dag_id: str, run_id: str) -> Run | None:
    """Return a run by its DAG id and run id; None: the warehouse has no data of it."""
    key = {"dag_id": dag_id, "run_id": run_id}
    found: list[Row] = read_rows(_RUN, connection, **key)
    if not found:
        return None
    anomalies = read_rows(_ANOMALIES, connection, **key)
    return Run(
        found[0],
        Table(CHECK_COLUMNS, read_rows(_CHECKS, connection, **key)),
        Table((Column("kind", "Kind"), Column("count", "Count", "number")), anomalies),
    )
