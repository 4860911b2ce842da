"""The last syncs."""

from __future__ import annotations

from sqlalchemy import Connection

from include.gong.page.db import cut, instant_of, parts_of, read_rows
from include.gong.page.table import Asked, Column, Question, Table

_SYNCS = """
    SELECT started_at, finished_at - started_at AS took, run_id, dag_id, state, day, scope, history,
           users_listed, users_new, users_changed, users_left, histories_fetched, histories_failed,
           histories_left, left_covered_by, changes_new, calls_made, failure, warnings
    FROM sync_runs
    WHERE (started_at, dag_id, run_id) < (CAST(:before AS timestamptz), :dag_id, :run_id)
    ORDER BY started_at DESC, dag_id DESC, run_id DESC
    LIMIT :limit
"""

_COLUMNS = (
    Column("started_at", "Started", "moment"),
    Column("took", "Took", "span"),
    Column("state", "State"),
    Column("day", "About the day", "day", absent="now"),
    Column("users_listed", "Users", "number"),
    Column("users_new", "New", "number"),
    Column("users_changed", "Changed", "number"),
    Column("users_left", "Left", "number"),
    Column("changes_new", "Settings changes", "number"),
    Column("histories_fetched", "Histories", "number"),
    Column("histories_left", "Histories left", "number"),
    Column("calls_made", "Calls", "number"),
    Column("failure", "What failed", absent="nothing"),
    Column("warnings", "Warnings", "list", absent="none"),
    Column("dag_id", "DAG"),
    Column("run_id", "Run"),
)


def _ask(connection: Connection, asked: Asked) -> Table:
    before, dag_id, run_id = parts_of(asked.after, 3)
    end = instant_of(before) if before else asked.moment or "infinity"
    rows = read_rows(_SYNCS, connection, before=end, dag_id=dag_id, run_id=run_id, limit=asked.limit + 1)
    rows, after = cut(rows, asked.limit, "started_at", "dag_id", "run_id")
    running = any(row["state"] == "running" for row in rows)
    note = "A run that still goes on counts as far as it has come." if running else ""
    return Table(_COLUMNS, rows, after, note)


SYNCS = Question(
    "syncs",
    "Last syncs",
    "Each run that loaded the warehouse, or failed to, the newest first: what it brought and how many calls "
    "it made.",
    _ask,
)
