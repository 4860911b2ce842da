"""What a load has at hand: a temporary table, made once a session and empty whenever a load begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from zlib import crc32

from sqlalchemy import Connection

from include.warehouse import copy
from include.warehouse.copy import Encoder, copy_rows

_TYPES: Mapping[Encoder, str] = {
    copy.text: "text",
    copy.text_array: "text[]",
    copy.jsonb: "jsonb",
    copy.boolean: "boolean",
    copy.instant: "timestamptz",
    copy.integer: "integer",
    copy.bytea: "bytea",
}


class Incoming:
    """A temporary table for the rows of one load.

    Made once a session, not in each transaction: that writes dozens of rows into Postgres' catalog. Its name
    tells its columns, so that behind a pooler no other release's is taken for it.

    :param columns: each column's name and encoder, in the order of a row's values.
    :ivar name: as SQL names it.
    """

    def __init__(self, name: str, columns: Mapping[str, Encoder]) -> None:
        definition = ", ".join(f"{column} {_TYPES[encoder]}" for column, encoder in columns.items())
        self.name = f"{name}_{crc32(definition.encode()):08x}"
        self._columns = columns
        create = f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.name} ({definition}) ON COMMIT DELETE ROWS"
        empty = f"DELETE FROM {self.name}"  # noqa: S608 (a name of ours)
        self._prepare = f"{create}; {empty}"  # a load before may have been in the same transaction

    def fill(self, connection: Connection, rows: Iterable[Sequence[object]]) -> None:
        """Let it hold these rows, and no other, until the transaction ends."""
        connection.exec_driver_sql(self._prepare)
        copy_rows(connection, self.name, self._columns, rows)
