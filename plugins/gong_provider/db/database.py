"""The coordination database: runs statements in short transactions, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import psycopg2
from sqlalchemy import Connection, Engine, Row
from sqlalchemy.exc import DBAPIError

from gong_provider.client.errors import GongCoordinationError, raise_without_context
from gong_provider.db.engine import explain_connection_error, explain_statement_error
from gong_provider.db.schema import search_path
from gong_provider.db.tables import make_tables

# In the same transaction: behind a pooler, the next one may have another session.
_ENTER = "SELECT set_config('search_path', %(search_path)s, true), set_config('jit', 'off', true);\n"


class Database:
    """One persistent connection, made again when it breaks; creates the tables at first use.

    Each ``run`` is one message and one transaction: no client holds a lock while it works, dies or is
    disconnected, and it works behind a pooler.

    :param engine: of a PostgreSQL, from ``db.engine.engine_for``.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()

    async def run(
        self, statements: str, parameters: Mapping[str, Any], *, once: bool = False
    ) -> Row[Any] | None:
        """Run statements (``%(name)s``) in one transaction; return the first row of the last, if it has any.

        Unqualified names mean tables of the schema that the engine's address names.

        A statement may run twice when the connection breaks at its end: write it so that this does
        no harm, or set ``once``.

        :raises GongCoordinationError: the database can't be reached, or a statement failed.
        """
        async with self._lock:
            work = asyncio.ensure_future(asyncio.to_thread(self._run, statements, parameters, once))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                await asyncio.wait([work])  # the thread still uses the connection
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
                    raise_without_context(
                        _coordination_error(explain_statement_error(error, self._engine.url))
                    )
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Release the connection; the next ``run`` opens another."""
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
                explain = explain_statement_error if has_code else explain_connection_error
                raise_without_context(_coordination_error(explain(error, self._engine.url)))
        return self._connection


def _coordination_error(explanation: str) -> GongCoordinationError:
    return GongCoordinationError(
        f"The coordination database {explanation} No call is made without it, as it stores the account's "
        "call quota and tokens (extra coordination_conn_id of the Gong connection)"
    )
