"""Connects to the warehouse: one engine per process and database, one transaction at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import TypeVar

import psycopg2
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError

from gong_provider.client.errors import raise_without_context
from gong_provider.db import engine as engines
from gong_provider.db.engine import address, address_of, display_address
from gong_provider.db.schema import enter_schema, schema_of
from include.gong.warehouse.errors import WarehouseError

__all__ = [
    "address",
    "address_of",
    "display_address",
    "engine_for",
    "in_one_message",
    "in_transaction",
    "schema_of",
    "transaction",
]

log = logging.getLogger(__name__)

T = TypeVar("T")

LOAD_RETRY_S = 600.0
"""Seconds for which the load of a response is retried: fetching it again would cost another call."""
_MIGRATE = (
    "run `make migrate` (or `python -m include.gong.warehouse migrate`) as a role that may create tables"
)
_MOMENT_S = 8.0
_RESTS_S = (0.5, 2.0, 5.0, 10.0, 20.0)
"""Between retries; the last one repeats."""


def engine_for(url: URL | str, *, wait_s: int | None = None) -> Engine:
    """Return the process's engine for a database; the same arguments return the same engine.

    :param url: any ``postgres://`` or ``postgresql://`` address; the driver is always psycopg2. Its
        parameter ``gong_schema`` names the warehouse's schema, by default gong.
    :param wait_s: seconds to wait for a connection; None: as long as a task may.
    :raises WarehouseError: the address is invalid.
    """
    try:
        return engines.engine_for(url, wait_s=wait_s)
    except engines.AddressError as error:
        raise WarehouseError(f"The warehouse's address {error}") from None


@contextmanager
def transaction(engine: Engine, *, lock_timeout_s: float = 0) -> Iterator[Connection]:
    """Open a transaction in which plain names mean the warehouse's tables and times are UTC.

    Leaves no setting in the session, so that it works behind a pooler. An error rolls all of it back.

    :param lock_timeout_s: seconds to wait for a lock, where the login has no such limit itself; 0: for ever.
    :raises WarehouseError: the database can't be reached, or refuses a statement.
    """
    with _connected(engine) as connection, connection.begin():
        enter_schema(connection, lock_timeout_s)
        yield connection


@contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    try:
        connection = engine.connect()
    except DBAPIError as error:
        reason = engines.explain_connection_error(error, engine.url)
        raise_without_context(WarehouseError(f"The warehouse {reason}", is_transient=True))
    try:
        with connection:
            yield connection
    except (DBAPIError, psycopg2.Error) as error:
        reason = engines.explain_statement_error(error, engine.url, create=_MIGRATE)
        is_transient = engines.is_transient(error)
        raise_without_context(WarehouseError(f"The warehouse {reason}", is_transient=is_transient))


def in_one_message(engine: Engine, send: Callable[[Connection], T]) -> T:
    """Send one message, which is a transaction of its own, enters the schema itself, and can be repeated.

    It is repeated once after a transient error, as the connection is not checked before.

    :raises WarehouseError: the database can't be reached, or refuses a statement.
    """
    unchecked = engines.engine_for(engine.url, pings=False)
    for is_last in (False, True):
        try:
            with _connected(unchecked) as connection:
                return send(connection.execution_options(isolation_level="AUTOCOMMIT"))
        except WarehouseError as error:
            if is_last or not error.is_transient:
                raise
    raise AssertionError("unreachable")


def in_transaction(engine: Engine, load: Callable[[Connection], T], *, for_s: float | None = None) -> T:
    """Load in one transaction, and retry after transient errors of the database.

    A try whose COMMIT got no response may have been committed: ``load`` must be idempotent.

    :param for_s: seconds to retry and to wait for a lock: LOAD_RETRY_S for responses, which would cost calls
        again. None: retry for some seconds, wait for locks without end.
    :raises WarehouseError: the error lasted longer, or is not transient.
    """
    gives_up_at = time.monotonic() + (for_s or _MOMENT_S)
    for rest_s in chain(_RESTS_S, repeat(_RESTS_S[-1])):
        try:
            waits_s = max(1.0, gives_up_at - time.monotonic()) if for_s else 0
            with transaction(engine, lock_timeout_s=waits_s) as connection:
                return load(connection)
        except WarehouseError as error:
            if not error.is_transient or time.monotonic() + rest_s > gives_up_at:
                raise
            log.warning("%s Retrying in %s s", error, rest_s)
        time.sleep(rest_s)
    raise AssertionError("unreachable")
