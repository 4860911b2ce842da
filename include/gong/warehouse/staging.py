"""Staging tables of loads: temporary, created once per session, empty at the start of each load."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias
from zlib import crc32

from sqlalchemy import Connection

from include.gong.warehouse import copy
from include.gong.warehouse.copy import Encoder, copy_rows

_TYPES: Mapping[Encoder, str] = {
    copy.text: "text",
    copy.text_array: "text[]",
    copy.jsonb: "jsonb",
    copy.boolean: "boolean",
    copy.instant: "timestamptz",
    copy.integer: "integer",
    copy.bytea: "bytea",
}

Rows: TypeAlias = Iterable[Sequence[object]]

# They raise the estimated costs, which would start JIT: each transaction has it off (enter_schema).
_OTHER_WAYS = ("hashjoin", "mergejoin", "material", "seqscan")
_LOOK_UP = "".join(f"SET LOCAL enable_{way} TO off; " for way in _OTHER_WAYS)
_RESET = "".join(f"SET LOCAL enable_{way} TO DEFAULT; " for way in _OTHER_WAYS)


class Staging:
    """A temporary table for the rows of one load.

    Created once per session, not in each transaction: that writes dozens of rows to Postgres' catalog. Its
    name has a hash of its columns, so that it is not confused with another release's behind a pooler.

    :param columns: each column's name and encoder, in the order of a row's values.
    :ivar name: its name in SQL.
    :ivar prepare: statements that create or empty it.
    """

    def __init__(self, name: str, columns: Mapping[str, Encoder]) -> None:
        definition = ", ".join(f"{column} {_TYPES[encoder]}" for column, encoder in columns.items())
        self.name = f"{name}_{crc32(definition.encode()):08x}"
        self._columns = columns
        create = f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.name} ({definition}) ON COMMIT DELETE ROWS"
        empty = f"DELETE FROM {self.name}"  # noqa: S608 (a name of ours)
        self.prepare = f"{create}; {empty}; "  # a load before may have been in the same transaction

    def fill(self, connection: Connection, rows: Rows) -> None:
        """Replace its rows, until the transaction ends."""
        connection.exec_driver_sql(self.prepare)
        self.add(connection, rows)

    def add(self, connection: Connection, rows: Rows) -> None:
        """Append rows."""
        copy_rows(connection, self.name, self._columns, rows)


@contextmanager
def index_lookups(connection: Connection, tables: Mapping[Staging, Rows]) -> Iterator[None]:
    """Fill staging tables, and let statements join them by index: a load has at most some hundred users.

    A table that grew since it was analyzed looks small, and the planner would scan it every time.
    """
    # One message: each costs a round trip to the database.
    connection.exec_driver_sql("".join([*(table.prepare for table in tables), _LOOK_UP]))
    for table, rows in tables.items():
        table.add(connection, rows)
    yield
    connection.exec_driver_sql(_RESET)
