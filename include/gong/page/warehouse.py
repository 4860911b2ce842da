"""The page's way into the warehouse: the connection of Airflow, read-only, and never for long."""

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

from gong_provider.client.errors import raise_alone
from include.gong.page.limiter import BUSY, RETRY_AFTER
from include.gong.warehouse.connect import address_of, engine_for, transaction
from include.gong.warehouse.errors import WarehouseError

CONN_ID = "gong_postgres"
SECONDS = 5
SECONDS_OF_A_DOWNLOAD = 60
SECONDS_TO_CONNECT = 1

NO_CONNECTION = (
    f"Airflow has no connection {CONN_ID}. Make it under Admin, Connections: type Postgres, with the address "
    "of the warehouse."
)
UNREADABLE = (
    f"Airflow can't read its connection {CONN_ID}: correct its address under Admin, Connections, or in the "
    "secrets backend or environment that it comes from."
)
TOO_LONG = (
    "The warehouse took longer than {seconds} seconds for this, and was told to stop. Ask for less, or later."
)
ASKED_AGAIN_AFTER_S = 30.0
_CANCELED = "57014"

# The time limit holds for each statement of this transaction and ends with it, also behind a pooler.
_READ_ONLY = "SET TRANSACTION READ ONLY"
_LIMIT = "SELECT set_config('statement_timeout', %(limit)s, true)"

T = TypeVar("T")


class Warehouse:
    """Reads in short transactions, on whatever the connection says now."""

    def __init__(self, connection_of: Callable[[str], Any] = BaseHook.get_connection) -> None:
        self._connection_of = connection_of
        self._lock = Lock()
        self._engine: Engine | None = None
        self._asked_at = 0.0

    def read(self, ask: Callable[[Connection], T], seconds: int = SECONDS) -> T:
        """What a question answers, in a transaction of its own.

        :raises HTTPException: 503, with a sentence: there is no connection, no database, or no time.
        """
        try:
            with transaction(self._current()) as connection:
                connection.exec_driver_sql(_READ_ONLY)
                connection.exec_driver_sql(_LIMIT, {"limit": f"{seconds}s"})
                try:
                    return ask(connection)
                except DBAPIError as error:
                    if getattr(error.orig, "pgcode", None) == _CANCELED:
                        raise_alone(HTTPException(503, TOO_LONG.format(seconds=seconds)))
                    raise
        except WarehouseError as error:
            raise_alone(HTTPException(503, str(error)))
        except NoFreeConnectionError:
            raise_alone(HTTPException(503, BUSY, RETRY_AFTER))

    def _current(self) -> Engine:
        """The engine; the connection is asked anew after a while, for it can be edited."""
        with self._lock:
            if self._engine is None or time.monotonic() - self._asked_at > ASKED_AGAIN_AFTER_S:
                engine = engine_for(address_of(self._asked()), wait_s=SECONDS_TO_CONNECT)
                if self._engine is not None and engine is not self._engine:
                    self._engine.dispose()
                self._engine, self._asked_at = engine, time.monotonic()
            return self._engine

    def _asked(self) -> Any:
        try:
            return self._connection_of(CONN_ID)
        except AirflowNotFoundException:
            raise_alone(HTTPException(503, NO_CONNECTION))
        except Exception:  # whatever a secrets backend raises; its words may hold the password
            raise_alone(HTTPException(503, UNREADABLE))
