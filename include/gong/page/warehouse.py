"""Reads the warehouse through Airflow's connection, in short read-only transactions."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from fastapi import HTTPException
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnectionError

from gong_provider.client.errors import raise_without_context
from include.gong.page.limiter import BUSY, RETRY_AFTER
from include.gong.warehouse.connect import address_of, engine_for, transaction
from include.gong.warehouse.errors import WarehouseError

CONN_ID = "gong_postgres"
TIMEOUT_S = 5
DOWNLOAD_TIMEOUT_S = 60
CONNECT_TIMEOUT_S = 1

NO_CONNECTION = (
    f"Airflow has no connection {CONN_ID}. Add it under Admin, Connections: type Postgres, with the address "
    "of the warehouse."
)
UNREADABLE = (
    f"Airflow can't read its connection {CONN_ID}: correct its address under Admin, Connections, or in the "
    "secrets backend or environment that defines it."
)
TIMED_OUT = "The query took longer than {seconds} seconds and was cancelled. Ask for less, or retry later."
CONNECTION_MAX_AGE_S = 30.0
_CANCELED = "57014"

# The timeout applies to each statement of this transaction only, also behind a pooler.
_READ_ONLY = "SET TRANSACTION READ ONLY"
_TIMEOUT = "SELECT set_config('statement_timeout', %(limit)s, true)"

T = TypeVar("T")


class Warehouse:
    """Reads in short transactions; follows edits of the Airflow connection."""

    def __init__(self, connection_of: Callable[[str], Any] = BaseHook.get_connection) -> None:
        self._connection_of = connection_of
        self._lock = Lock()
        self._engine: Engine | None = None
        self._read_at = 0.0

    def read(self, query: Callable[[Connection], T], seconds: int = TIMEOUT_S) -> T:
        """Run a query in a transaction of its own and return its result.

        :raises HTTPException: 503: no Airflow connection, no database, or the query timed out.
        """
        try:
            with transaction(self._current()) as connection:
                connection.exec_driver_sql(_READ_ONLY)
                connection.exec_driver_sql(_TIMEOUT, {"limit": f"{seconds}s"})
                try:
                    return query(connection)
                except DBAPIError as error:
                    if getattr(error.orig, "pgcode", None) == _CANCELED:
                        raise_without_context(HTTPException(503, TIMED_OUT.format(seconds=seconds)))
                    raise
        except WarehouseError as error:
            raise_without_context(HTTPException(503, str(error)))
        except NoFreeConnectionError:
            raise_without_context(HTTPException(503, BUSY, RETRY_AFTER))

    def _current(self) -> Engine:
        """Return the engine; the Airflow connection is read again after a while, because it can be edited."""
        with self._lock:
            if self._engine is None or time.monotonic() - self._read_at > CONNECTION_MAX_AGE_S:
                engine = engine_for(address_of(self._airflow_connection()), wait_s=CONNECT_TIMEOUT_S)
                if self._engine is not None and engine is not self._engine:
                    self._engine.dispose()
                self._engine, self._read_at = engine, time.monotonic()
            return self._engine

    def _airflow_connection(self) -> Any:
        try:
            return self._connection_of(CONN_ID)
        except AirflowNotFoundException:
            raise_without_context(HTTPException(503, NO_CONNECTION))
        except Exception:  # any error of a secrets backend; its text may hold the password
            raise_without_context(HTTPException(503, UNREADABLE))
