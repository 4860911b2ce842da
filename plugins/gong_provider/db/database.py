"""The coordination database: statements in short transactions of their own, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import psycopg2
from sqlalchemy import Connection, Engine, Row
from sqlalchemy.exc import DBAPIError

from gong_provider.client.errors import GongCoordinationError, raise_alone
from gong_provider.db.engine import connection_trouble, statement_trouble
from gong_provider.db.schema import search_path
from gong_provider.db.tables import make_tables

# In the message's own transaction: the next one may have another session, behind a pooler.
_ENTER = "SELECT set_config('search_path', %(search_path)s, true), set_config('jit', 'off', true);\n"


class Database:
    """One connection that is kept, made again when it breaks; its tables are made at first use.

    Each ``run`` is one message and one transaction: nothing is locked while a client thinks, dies or
    is cut off, and it works behind a pooler.

    :param engine: of a PostgreSQL, from ``db.engine.engine_for``.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()

    async def run(
        self, statements: str, parameters: Mapping[str, Any], *, once: bool = False
    ) -> Row[Any] | None:
        """Run statements (``%(name)s``) as one transaction; the first row of the last, if it has any.

        Plain names mean the tables of the schema that the engine's address names.

        A statement may run twice when the connection breaks at its end: write it so that this does
        no harm, or say ``once``.

        :raises GongCoordinationError: the database can't be reached, or refuses.
        """
        async with self._lock:
            work = asyncio.ensure_future(asyncio.to_thread(self._run, statements, parameters, once))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                await asyncio.wait([work])  # the thread still has the connection
                raise

    def _run(self, statements: str, parameters: Mapping[str, Any], once: bool) -> Row[Any] | None:
        values = {"search_path": search_path(self._engine.url), **parameters}
        for is_last in (True,) if once else (False, True):
            connection = self._connected()
            try:
                result = connection.exec_driver_sql(_ENTER + statements, values)
                return result.first() if result.returns_rows else None
            except (DBAPIError, psycopg2.Error) as error:
                is_broken = isinstance(error, DBAPIError) and error.connection_invalidated
                self.close()
                if is_last or not is_broken:
                    raise_alone(_coordination_error(statement_trouble(error, self._engine.url)))
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Give the connection back; the next ``run`` takes another."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _connected(self) -> Connection:
        if self._connection is None:
            try:
                with self._engine.begin() as connection:
                    make_tables(connection)
                self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            except DBAPIError as error:
                has_code = getattr(error.orig, "pgcode", None) is not None
                trouble = statement_trouble if has_code else connection_trouble
                raise_alone(_coordination_error(trouble(error, self._engine.url)))
        return self._connection


def _coordination_error(trouble: str) -> GongCoordinationError:
    return GongCoordinationError(
        f"The coordination database {trouble} No call is made without it, for it holds the account's "
        "call quota and tokens (extra coordination_conn_id of the Gong connection)"
    )
