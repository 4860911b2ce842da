"""The way into the warehouse: one engine a process and database, one transaction at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError

from gong_provider.api.errors import raise_alone
from gong_provider.coordination import postgres
from gong_provider.coordination.postgres import address, address_of, place
from gong_provider.coordination.tables import SCHEMA
from include.warehouse.errors import WarehouseError

__all__ = ["SCHEMA", "address", "address_of", "engine_for", "place", "transaction"]


def engine_for(url: URL | str) -> Engine:
    """The process's engine for a database; the same address gives the same engine.

    :param url: any ``postgres://`` or ``postgresql://`` address; the driver is always psycopg2.
    :raises WarehouseError: it is no such address.
    """
    try:
        return postgres.engine_for(url)
    except postgres.AddressError as error:
        raise WarehouseError(f"The warehouse's address {error}") from None


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction in which plain names mean the warehouse's tables and times are UTC.

    Keeps no session state, so that it works behind a pooler. An error rolls all of it back.

    :raises WarehouseError: the database can't be reached, or refuses a statement.
    """
    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise_alone(WarehouseError(f"The warehouse {postgres.connection_trouble(error, engine.url)}"))
    try:
        with connection, connection.begin():
            connection.exec_driver_sql(f"SET LOCAL search_path TO {SCHEMA}, pg_temp")
            connection.exec_driver_sql("SET LOCAL timezone TO 'UTC'")
            yield connection
    except (DBAPIError, psycopg2.Error) as error:
        raise_alone(WarehouseError(f"The warehouse {postgres.statement_trouble(error, engine.url)}"))
