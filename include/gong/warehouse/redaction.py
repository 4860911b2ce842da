"""Redacts erased users in rows of others: as a manager, as the author of a change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, text

from include.gong.warehouse import copy
from include.gong.warehouse.coverage import invalidate_coverage
from include.gong.warehouse.erasures import Erasures
from include.gong.warehouse.periods import LOCK_USERS, refresh_derived
from include.gong.warehouse.staging import Staging

_BATCH = 2_000

# Key, and the columns that may name another user.
_TABLES: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "user_versions": (("user_id", "valid_from"), ("manager_id", "settings")),
    "user_sync_state": (("user_id",), ("first_settings", "extra")),
    "user_settings_history": (
        ("user_id", "change_key"),
        ("changed_by", "previous_value", "new_value", "extra"),
    ),
    "finding_periods": (("user_id", "kind", "opened_at"), ("changed_by",)),
}
REDACTED_TABLES = (*_TABLES, "rejected_records")
_JSON = ("settings", "extra", "first_settings")
_MAKE_PERIODS = ("settings", "first_settings", "previous_value", "new_value")

# Copied, because statements may be written to the server's log.
_VALUES = Staging("values_to_redact", {"value": copy.text})

_REJECTED = text("SELECT record_key, raw FROM rejected_records")
_REMOVE_REJECTED = text("DELETE FROM rejected_records WHERE record_key = ANY (:keys)")


def redact_rows(connection: Connection, erasures: Erasures) -> dict[str, int]:
    """Set values that name erased users to null in rows of others, and delete such rejected records.

    Values are found by their hashes, as in loads. The caller blocks loads: one that has begun without knowing
    an address may still write it.

    :return: the number of such rows by table.
    """
    touched: set[str] = set()
    counts = {table: _redact(connection, table, erasures, touched) for table in _TABLES}
    counts["rejected_records"] = _remove_rejected(connection, erasures)
    connection.execute(LOCK_USERS, {"ids": list(touched)})
    invalidate_coverage(connection, refresh_derived(connection, touched))
    return counts


def _redact(connection: Connection, table: str, erasures: Erasures, touched: set[str]) -> int:
    key, columns = _TABLES[table]
    values = set(_matching_values(connection, table, erasures))
    if not values:
        return 0
    _VALUES.fill(connection, [(value,) for value in values])
    fields = ", ".join(f"'{name}', {name}" for name in (*key, *columns))
    is_one = f"::text IN (SELECT value FROM {_VALUES.name})"  # noqa: S608 (a name of ours)
    has_one = " OR ".join(f"{name}{is_one}" for name in columns)
    find = text(f"SELECT jsonb_build_object({fields}) FROM {table} WHERE {has_one}")  # noqa: S608 (constants)
    rows = connection.execute(find, execution_options={"yield_per": _BATCH}).scalars()
    number = 0
    while batch := list(islice(rows, _BATCH)):
        number += len(batch)
        redacted = [row | {name: erasures.redact(row[name]) for name in columns} for row in batch]
        _write(connection, table, redacted)
        touched |= {
            row["user_id"]
            for row, after in zip(batch, redacted, strict=True)
            if any(row.get(name) != after.get(name) for name in _MAKE_PERIODS)
        }
    return number


def _matching_values(connection: Connection, table: str, erasures: Erasures) -> Iterator[str]:
    """Yield the values that name an erased user, each once: hashing those of all rows takes minutes."""
    for name in _TABLES[table][1]:
        find = text(f"SELECT DISTINCT {name}::text FROM {table} WHERE {name} IS NOT NULL")  # noqa: S608 (constants)
        for value in connection.execute(find, execution_options={"yield_per": _BATCH}).scalars():
            if erasures.is_named_in(json.loads(value) if name in _JSON else value):
                yield value


def _write(connection: Connection, table: str, rows: Sequence[dict[str, Any]]) -> None:
    key, columns = _TABLES[table]
    same = " AND ".join(f"stored.{name} = redacted.{name}" for name in key)
    write = text(f"""
        UPDATE {table} AS stored
        SET ({", ".join(columns)}) = ROW ({", ".join(f"redacted.{name}" for name in columns)})
        FROM jsonb_populate_recordset(NULL::{table}, CAST(:rows AS jsonb)) AS redacted
        WHERE {same}
    """)  # noqa: S608 (constants)
    connection.execute(write, {"rows": json.dumps(rows, ensure_ascii=False)})


def _remove_rejected(connection: Connection, erasures: Erasures) -> int:
    found = connection.execute(_REJECTED, execution_options={"yield_per": _BATCH})
    keys = [row.record_key for row in found if erasures.is_named_in(row.raw)]
    return connection.execute(_REMOVE_REJECTED, {"keys": keys}).rowcount
