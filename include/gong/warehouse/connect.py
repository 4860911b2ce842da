"""The way into the warehouse: one engine a process and database, one transaction at a time."""

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

from gong_provider.client.errors import raise_alone
from gong_provider.db import engine
from gong_provider.db.engine import address, address_of, place
from gong_provider.db.schema import enter_schema, schema_of
from include.gong.warehouse.errors import WarehouseError

__all__ = [
    "address",
    "address_of",
    "engine_for",
    "in_transaction",
    "place",
    "schema_of",
    "transaction",
]

log = logging.getLogger(__name__)

T = TypeVar("T")

HOLD_S = 600.0
"""Seconds for which an answer that was paid for with a call is held, and its load tried."""
_MOMENT_S = 8.0
_RESTS_S = (0.5, 2.0, 5.0, 10.0, 20.0)
"""Between tries; the last one stays."""


def engine_for(url: URL | str, *, wait_s: int | None = None) -> Engine:
    """The process's engine for a database; the same arguments give the same engine.

    :param url: any ``postgres://`` or ``postgresql://`` address; the driver is always psycopg2. Its
        parameter ``gong_schema`` names the warehouse's schema: gong, unless it does.
    :param wait_s: seconds to wait for a connection; None: as long as a task may.
    :raises WarehouseError: it is no such address.
    """
    try:
        return engine.engine_for(url, wait_s=wait_s)
    except engine.AddressError as error:
        raise WarehouseError(f"The warehouse's address {error}") from None


@contextmanager
def transaction(engine: Engine, *, lock_timeout_s: float = 0) -> Iterator[Connection]:
    """One transaction in which plain names mean the warehouse's tables and times are UTC.

    Leaves no setting in the session, so that it works behind a pooler. An error rolls all of it back.

    :param lock_timeout_s: seconds to wait for a lock, where the login has no such limit itself; 0: for ever.
    :raises WarehouseError: the database can't be reached, or refuses a statement.
    """
    try:
        connection = engine.connect()
    except DBAPIError as error:
        trouble = engine.connection_trouble(error, engine.url)
        raise_alone(WarehouseError(f"The warehouse {trouble}", may_pass=True))
    try:
        with connection, connection.begin():
            enter_schema(connection, lock_timeout_s)
            yield connection
    except (DBAPIError, psycopg2.Error) as error:
        trouble = engine.statement_trouble(error, engine.url)
        raise_alone(WarehouseError(f"The warehouse {trouble}", may_pass=engine.may_pass(error)))


def in_transaction(engine: Engine, load: Callable[[Connection], T], *, for_s: float | None = None) -> T:
    """Load in one transaction, and again while the database is only in the way.

    A try whose COMMIT got no answer may have been committed: ``load`` must be right when it runs again.

    :param for_s: seconds after which it is given up, and for which a lock is waited for: HOLD_S for what was
        paid for with calls, which would be paid again. None: tried for some seconds, locks without end.
    :raises WarehouseError: it is still in the way after that time, or refuses.
    """
    gives_up_at = time.monotonic() + (for_s or _MOMENT_S)
    for rest_s in chain(_RESTS_S, repeat(_RESTS_S[-1])):
        try:
            waits_s = max(1.0, gives_up_at - time.monotonic()) if for_s else 0
            with transaction(engine, lock_timeout_s=waits_s) as connection:
                return load(connection)
        except WarehouseError as error:
            if not error.may_pass or time.monotonic() + rest_s > gives_up_at:
                raise
            log.warning("%s It is tried again in %s s", error, rest_s)
        time.sleep(rest_s)
    raise AssertionError("unreachable")
