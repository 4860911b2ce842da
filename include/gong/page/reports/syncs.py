"""The report of the last syncs."""

from __future__ import annotations

from sqlalchemy import Connection

from include.gong.page.db import decode_cursor, paginate, parse_instant, read_rows
from include.gong.page.table import Column, PageQuery, Report, Table

_SYNCS = """
    SELECT started_at, finished_at - started_at AS took, run_id, dag_id, state, day, scope, history,
           users_listed, users_new, users_changed, users_deleted, histories_fetched, histories_failed,
           histories_remaining, backlog_eta, changes_new, calls_made, failure, warnings
    FROM sync_runs
    WHERE (started_at, dag_id, run_id) < (CAST(:before AS timestamptz), :dag_id, :run_id)
    ORDER BY started_at DESC, dag_id DESC, run_id DESC
    LIMIT :limit
"""

_COLUMNS = (
    Column("started_at", "Started", "moment"),
    Column("took", "Duration", "span"),
    Column("state", "State"),
    Column("day", "Day", "day", absent="now"),
    Column("users_listed", "Users", "number"),
    Column("users_new", "New", "number"),
    Column("users_changed", "Changed", "number"),
    Column("users_deleted", "Deleted", "number"),
    Column("changes_new", "Settings changes", "number"),
    Column("histories_fetched", "Histories", "number"),
    Column("histories_remaining", "Histories remaining", "number"),
    Column("calls_made", "Calls", "number"),
    Column("failure", "Failure", absent="none"),
    Column("warnings", "Warnings", "list", absent="none"),
    Column("dag_id", "DAG"),
    Column("run_id", "Run"),
)


def _read(connection: Connection, query: PageQuery) -> Table:
    before, dag_id, run_id = decode_cursor(query.after, 3)
    end = parse_instant(before) if before else query.moment or "infinity"
    rows = read_rows(_SYNCS, connection, before=end, dag_id=dag_id, run_id=run_id, limit=query.limit + 1)
    rows, after = paginate(rows, query.limit, "started_at", "dag_id", "run_id")
    running = any(row["state"] == "running" for row in rows)
    note = "The counts of a running sync are those so far." if running else ""
    return Table(_COLUMNS, rows, after, note)


SYNCS = Report(
    "syncs",
    "Last syncs",
    "Each run that loaded the warehouse or failed, newest first, with its rows and its API calls.",
    _read,
)
