"""Takes a person out of what is held of others: as their manager, as the author of their changes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, text

from include.warehouse import copy
from include.warehouse.coverage import owe_coverage
from include.warehouse.forgotten import Forgotten
from include.warehouse.incoming import Incoming
from include.warehouse.periods import refresh_periods

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
_MAKE_PERIODS = ("settings", "first_settings", "previous_value", "new_value")

_MEANS_MORE, _ESCAPED = re.compile(r"[\\%_]"), r"\\\g<0>"

# Copied, for what stands in a statement may come into the server's log.
_NAMES = Incoming("names_to_find", {"pattern": copy.text})

# Rows that may name him; which do is decided by whoever reads them. Letters beyond ASCII may be any, for what
# makes them small is the database's locale: not Python's, and none in some.
_BEYOND_ASCII = re.compile(r"i?[^\x00-\x7f]+")  # İ becomes an i and a dot above
_MAY_NAME = f"""
    lower(concat_ws(' ', {{columns}}) COLLATE "C") LIKE ANY (ARRAY(SELECT pattern FROM {_NAMES.name}))
"""  # noqa: S608 (a name of ours)
_REJECTED = text(f"""
    SELECT record_key, raw FROM rejected_records WHERE {_MAY_NAME.format(columns="raw")}
""")  # noqa: S608 (a constant)
_REMOVE_REJECTED = text("DELETE FROM rejected_records WHERE record_key = ANY (:keys)")


def remove_mentions(connection: Connection, person: Forgotten, names: Iterable[str]) -> dict[str, int]:
    """Put null wherever rows of others name a person, and remove rejected records that do.

    :param person: he, by hashes, as loads will know him.
    :param names: his id and addresses, or those of them that may be found.
    :return: how many rows of each table named him.
    """
    _write_down(connection, names)
    touched: set[str] = set()
    counts = {table: _clear(connection, table, person, touched) for table in _TABLES}
    counts["rejected_records"] = _remove_rejected(connection, person)
    owe_coverage(connection, refresh_periods(connection, sorted(touched)))
    return counts


def _write_down(connection: Connection, names: Iterable[str]) -> None:
    """What to look for: names as they are, and as jsonb shows them, with some letters escaped."""
    lowered = {name.lower() for name in names}
    escaped = {json.dumps(name, ensure_ascii=False)[1:-1] for name in lowered}
    patterns = {_BEYOND_ASCII.sub("%", _MEANS_MORE.sub(_ESCAPED, name)) for name in lowered | escaped}
    _NAMES.fill(connection, [(f"%{pattern}%",) for pattern in patterns])


def _clear(connection: Connection, table: str, person: Forgotten, touched: set[str]) -> int:
    key, columns = _TABLES[table]
    fields = ", ".join(f"'{name}', {name}" for name in (*key, *columns))
    find = text(f"""
        SELECT jsonb_build_object({fields}) FROM {table}
        WHERE {_MAY_NAME.format(columns=", ".join(columns))}
    """)  # noqa: S608 (constants)
    found = connection.execute(find, execution_options={"yield_per": _BATCH}).scalars()
    named = ((row, cleared) for row in found if (cleared := _without(person, row, columns)) != row)
    number = 0
    while batch := list(islice(named, _BATCH)):
        number += len(batch)
        _write(connection, table, [cleared for _, cleared in batch])
        touched |= {
            row["user_id"]
            for row, cleared in batch
            if any(row.get(name) != cleared.get(name) for name in _MAKE_PERIODS)
        }
    return number


def _without(person: Forgotten, row: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    return row | {name: person.without(row[name]) for name in columns}


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


def _remove_rejected(connection: Connection, person: Forgotten) -> int:
    keys = [row.record_key for row in connection.execute(_REJECTED) if person.is_named_in(row.raw)]
    return connection.execute(_REMOVE_REJECTED, {"keys": keys}).rowcount
