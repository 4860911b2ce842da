"""What a load has at hand: temporary tables, made once a session and empty whenever a load begins."""

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

# What they make of costs must not make anything be compiled: each transaction has JIT off (enter_schema).
_OTHER_WAYS = ("hashjoin", "mergejoin", "material", "seqscan")
_LOOK_UP = "".join(f"SET LOCAL enable_{way} TO off; " for way in _OTHER_WAYS)
_AS_USUAL = "".join(f"SET LOCAL enable_{way} TO DEFAULT; " for way in _OTHER_WAYS)


class Incoming:
    """A temporary table for the rows of one load.

    Made once a session, not in each transaction: that writes dozens of rows into Postgres' catalog. Its name
    tells its columns, so that behind a pooler no other release's is taken for it.

    :param columns: each column's name and encoder, in the order of a row's values.
    :ivar name: as SQL names it.
    :ivar prepare: statements that make it, empty.
    """

    def __init__(self, name: str, columns: Mapping[str, Encoder]) -> None:
        definition = ", ".join(f"{column} {_TYPES[encoder]}" for column, encoder in columns.items())
        self.name = f"{name}_{crc32(definition.encode()):08x}"
        self._columns = columns
        create = f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.name} ({definition}) ON COMMIT DELETE ROWS"
        empty = f"DELETE FROM {self.name}"  # noqa: S608 (a name of ours)
        self.prepare = f"{create}; {empty}; "  # a load before may have been in the same transaction

    def fill(self, connection: Connection, rows: Rows) -> None:
        """Let it hold these rows, and no other, until the transaction ends."""
        connection.exec_driver_sql(self.prepare)
        self.add(connection, rows)

    def add(self, connection: Connection, rows: Rows) -> None:
        """Let it hold these rows too."""
        copy_rows(connection, self.name, self._columns, rows)


@contextmanager
def at_hand(connection: Connection, tables: Mapping[Incoming, Rows]) -> Iterator[None]:
    """Fill tables, and let statements look their rows up one by one: a load names at most some hundred users.

    A table that grew since it was analyzed looks small, and the planner would read it whole, every time.
    """
    # One message: each costs a way to the database and back.
    connection.exec_driver_sql("".join([*(table.prepare for table in tables), _LOOK_UP]))
    for table, rows in tables.items():
        table.add(connection, rows)
    yield
    connection.exec_driver_sql(_AS_USUAL)
