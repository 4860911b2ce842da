"""The way into the warehouse: one engine a process and database, one transaction at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg2
from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from include.warehouse.errors import WarehouseError, connection_failure, statement_failure

SCHEMA = "gong"

_CONNECT_TIMEOUT_S = 10


# libpq's own words that people put into a connection's extra.
_LIBPQ = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "gssencmode", "target_session_attrs")


def address(
    *,
    login: str | None,
    password: str | None,
    host: str | None,
    port: int | None,
    schema: str | None,
    extras: Mapping[str, Any],
) -> URL:
    """The database's address, from the fields of an Airflow connection of type postgres."""
    query = {name: str(extras[name]) for name in _LIBPQ if extras.get(name)}
    query |= extras.get("sqlalchemy_query", {})
    return URL.create("postgresql+psycopg2", login, password, host, port, schema, query)


def engine_for(url: URL | str) -> Engine:
    """The process's engine for a database; the same address gives the same engine.

    :param url: any ``postgres://`` or ``postgresql://`` address; the driver is always psycopg2.
    :raises WarehouseError: it is no such address.
    """
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        # Not chained: the parser quotes what it could not read, and that may be the password.
        raise WarehouseError("The warehouse's address is not a postgresql:// URL; correct it.") from None
    if address.get_backend_name() not in ("postgres", "postgresql"):
        raise WarehouseError(f"The warehouse must be a PostgreSQL, not {address.get_backend_name()}.")
    return _engine(address.set(drivername="postgresql+psycopg2"), os.getpid())


@cache
def _engine(url: URL, _pid: int) -> Engine:
    """By process, for a connection must not be shared with a forked child."""
    return create_engine(
        url,
        pool_pre_ping=True,
        pool_size=2,
        max_overflow=6,
        isolation_level="READ COMMITTED",
        use_native_hstore=False,
        hide_parameters=True,  # they are people's data
        connect_args={
            "application_name": "gong",
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "client_encoding": "utf8",
        },
    )


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction in which plain names mean the warehouse's tables and times are UTC.

    Keeps no session state, so that it works behind a pooler. An error rolls all of it back.

    :raises WarehouseError: the database can't be reached, or refuses a statement.
    """
    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise connection_failure(error, engine.url) from None
    try:
        with connection, connection.begin():
            connection.exec_driver_sql(f"SET LOCAL search_path TO {SCHEMA}, pg_temp")
            connection.exec_driver_sql("SET LOCAL timezone TO 'UTC'")
            yield connection
    except (DBAPIError, psycopg2.Error) as error:
        raise statement_failure(error, engine.url) from None
