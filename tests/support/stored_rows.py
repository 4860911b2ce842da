"""Reads the rows of a warehouse in the form in which tests expect them."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import text

from include.gong.warehouse.connect import engine_for, transaction
from tests.support.expected_rows import USER_COLUMNS, ChangeRow


def query(url: str, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    """Return the rows of a query; names are tables of schema gong."""
    with transaction(engine_for(url)) as connection:
        return [dict(row) for row in connection.execute(text(sql), parameters).mappings()]


def stored_users(url: str) -> dict[str, dict[str, Any]]:
    """Return gong.users by id, without columns of the sync's state."""
    columns = ", ".join(["user_id", *USER_COLUMNS, "extra"])
    return {row["user_id"]: row for row in query(url, f"SELECT {columns} FROM users")}


def stored_changes(url: str) -> list[ChangeRow]:
    """Return gong.user_settings_history, sorted."""
    columns = ", ".join(ChangeRow._fields)
    rows = query(url, f"SELECT {columns} FROM user_settings_history")
    changes = [ChangeRow(**{**row, "extra": json.dumps(row["extra"], sort_keys=True)}) for row in rows]
    return sorted(changes, key=repr)


def last_run(url: str) -> dict[str, Any]:
    """Return the newest row of gong.sync_runs."""
    (row,) = query(url, "SELECT * FROM sync_runs ORDER BY started_at DESC LIMIT 1")
    return row
