"""Takes people out of what is held of others: as their manager, as the author of their changes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, text

from include.gong.warehouse import copy
from include.gong.warehouse.coverage import owe_coverage
from include.gong.warehouse.erasures import Forgotten
from include.gong.warehouse.periods import LOCK_MARKS, refresh_periods
from include.gong.warehouse.staging import Incoming

_BATCH = 2_000

# Key, and the columns that may name somebody else.
_TABLES: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "user_facts": (("user_id",), ("manager_id", "settings", "extra")),
    "user_versions": (("user_id", "valid_from"), ("manager_id", "settings")),
    "user_marks": (("user_id",), ("first_settings",)),
    "user_settings_history": (
        ("user_id", "change_key"),
        ("changed_by", "previous_value", "new_value", "extra"),
    ),
}
TABLES_WITH_MENTIONS = (*_TABLES, "rejected_records")
_JSON = ("settings", "extra", "first_settings")
_MAKE_PERIODS = ("settings", "first_settings", "previous_value", "new_value")

# Copied, for what stands in a statement may come into the server's log.
_VALUES = Incoming("values_to_clear", {"value": copy.text})

_REJECTED = text("SELECT record_key, raw FROM rejected_records")
_REMOVE_REJECTED = text("DELETE FROM rejected_records WHERE record_key = ANY (:keys)")


def remove_mentions(connection: Connection, people: Forgotten) -> dict[str, int]:
    """Put null wherever rows of others name these people, and remove rejected records that do.

    They are found by their hashes, as loads find them: no name need be known. The caller keeps loads off,
    for one that has begun without knowing an address may still write it.

    :return: how many rows of each table named them.
    """
    touched: set[str] = set()
    counts = {table: _clear(connection, table, people, touched) for table in _TABLES}
    counts["rejected_records"] = _remove_rejected(connection, people)
    connection.execute(LOCK_MARKS, {"ids": list(touched)})
    owe_coverage(connection, refresh_periods(connection, touched))
    return counts


def _clear(connection: Connection, table: str, people: Forgotten, touched: set[str]) -> int:
    key, columns = _TABLES[table]
    values = set(_values_that_name(connection, table, people))
    if not values:
        return 0
    _VALUES.fill(connection, [(value,) for value in values])
    fields = ", ".join(f"'{name}', {name}" for name in (*key, *columns))
    is_one = f"::text IN (SELECT value FROM {_VALUES.name})"  # noqa: S608 (a name of ours)
    holds_one = " OR ".join(f"{name}{is_one}" for name in columns)
    find = text(f"SELECT jsonb_build_object({fields}) FROM {table} WHERE {holds_one}")  # noqa: S608 (constants)
    rows = connection.execute(find, execution_options={"yield_per": _BATCH}).scalars()
    number = 0
    while batch := list(islice(rows, _BATCH)):
        number += len(batch)
        cleared = [row | {name: people.without(row[name]) for name in columns} for row in batch]
        _write(connection, table, cleared)
        touched |= {
            row["user_id"]
            for row, without in zip(batch, cleared, strict=True)
            if any(row.get(name) != without.get(name) for name in _MAKE_PERIODS)
        }
    return number


def _values_that_name(connection: Connection, table: str, people: Forgotten) -> Iterator[str]:
    """Each value once, however many rows have it: to hash what millions of rows hold takes minutes."""
    for name in _TABLES[table][1]:
        find = text(f"SELECT DISTINCT {name}::text FROM {table} WHERE {name} IS NOT NULL")  # noqa: S608 (constants)
        for value in connection.execute(find, execution_options={"yield_per": _BATCH}).scalars():
            if people.is_named_in(json.loads(value) if name in _JSON else value):
                yield value


def _write(connection: Connection, table: str, rows: Sequence[dict[str, Any]]) -> None:
    key, columns = _TABLES[table]
    same = " AND ".join(f"held.{name} = cleared.{name}" for name in key)
    write = text(f"""
        UPDATE {table} AS held
        SET ({", ".join(columns)}) = ROW ({", ".join(f"cleared.{name}" for name in columns)})
        FROM jsonb_populate_recordset(NULL::{table}, CAST(:rows AS jsonb)) AS cleared
        WHERE {same}
    """)  # noqa: S608 (constants)
    connection.execute(write, {"rows": json.dumps(rows, ensure_ascii=False)})


def _remove_rejected(connection: Connection, people: Forgotten) -> int:
    found = connection.execute(_REJECTED, execution_options={"yield_per": _BATCH})
    keys = [row.record_key for row in found if people.is_named_in(row.raw)]
    return connection.execute(_REMOVE_REJECTED, {"keys": keys}).rowcount
