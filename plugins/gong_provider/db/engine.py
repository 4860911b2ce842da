"""Engines for a Postgres, explanations of its errors, and the database that all workers share."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, partial
from threading import Timer
from typing import Any, Protocol

import psycopg2
from sqlalchemy import URL, Connection, Engine, Row, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError

from gong_provider.client.errors import GongCoordinationError, raise_without_context
from gong_provider.db import schema as schemas

_CONNECT_TIMEOUT_S = 10
_POOL_TIMEOUT_S = 30

_LOGGING_NAME = "gong"

# Extras of a connection that go into the address: libpq's parameters, and ours.
_LIBPQ = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "gssencmode", "target_session_attrs")
_EXTRAS = (*_LIBPQ, schemas.PARAMETER)

_FULL = "all its connections are in use; raise max_connections, or try later"
_NO_ROUTE = "there is no route to this host; check the host and the network"

# libpq gives no code for a failed connection, only a message.
_CONNECTION_ADVICE = (
    ("Connection refused", "nothing answers there; start the database, or correct its host and port"),
    ("could not translate host name", "this host name is unknown; correct it"),
    ("(password|SASL) authentication failed", "it refuses this login or password; correct them"),
    ("no password supplied", "it requires a password; set one in the connection"),
    ('role ".*" does not exist', "it does not know this login; create the role, or correct the login"),
    ('database ".*" does not exist', "it has no database of this name; create it, or correct the name"),
    ("timeout expired", "it does not respond; check host, port and firewall"),
    ("No route to host|Network is unreachable", _NO_ROUTE),
    ("pg_hba.conf", "it refuses connections from here, or without TLS; see its pg_hba.conf and sslmode"),
    ("too many clients|remaining connection slots", _FULL),
    ("starting up", "it is still starting; try again in a moment"),
    ("response to SSL negotiation|closed the connection", "is it a PostgreSQL? Correct host and port"),
)

_STATEMENT_ADVICE = {
    "3F000": "{create}",  # no such schema
    # No such table, or the login has no right on its schema.
    "42P01": "{create}; if that was done, grant this login USAGE on the schema",
    "42703": "{create}",  # no such column
    "42501": "grant this right; where it is the right to create or alter a table, {create} instead",
    "53100": "its disk is full; make room, and the next try continues",
}
_CREATE = "connect once with a login that owns the tables or may create them: its first call does it"
# Connection errors, rollbacks (deadlock, serialization), resources, shutdowns and timeouts.
_TRANSIENT = re.compile(r"08|40|53|55P03|57")
_DATA_EXCEPTION = "22"
_RAISED_BY_A_FUNCTION = "exec_stmt_raise"
"""In Postgres' source; the message is then from a function of the database's owner, and may quote rows."""


class AddressError(ValueError):
    """The address is not that of a PostgreSQL. The message contains no part of it."""


def address(
    *,
    login: str | None,
    password: str | None,
    host: str | None,
    port: int | None,
    schema: str | None,
    extras: Mapping[str, Any],
) -> URL:
    """Return the database's address, from the fields of an Airflow connection of type postgres."""
    query = {name: str(extras[name]) for name in _EXTRAS if extras.get(name)}
    query |= extras.get("sqlalchemy_query", {})
    return URL.create("postgresql+psycopg2", login, password, host, port, schema, query)


class PostgresConnection(Protocol):
    """The fields of Airflow's Connection that are used here."""

    login: str | None
    password: str | None
    host: str | None
    port: int | None
    schema: str | None

    @property
    def extra_dejson(self) -> dict[str, Any]: ...


def address_of(connection: PostgresConnection) -> URL:
    """Return the database's address in an Airflow connection."""
    return address(
        login=connection.login,
        password=connection.password,
        host=connection.host,
        port=connection.port,
        schema=connection.schema,
        extras=connection.extra_dejson,
    )


def engine_for(url: URL | str, *, wait_s: int | None = None, pings: bool = True) -> Engine:
    """Return the process's engine for a database; the same arguments give the same engine.

    :param url: any ``postgres://`` or ``postgresql://`` address; the driver is always psycopg2. Its
        parameter ``gong_schema`` names the schema, and stays in the engine's address.
    :param wait_s: seconds to wait for a connection to be made, to become free, or to respond when it is
        used again; None: 10, 30, and until the network reports its loss.
    :param pings: check each connection before its use, by a message; False: the user repeats what fails.
    :raises AddressError: it is not such an address.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The parser's error quotes the address, and so perhaps the password.
        raise_without_context(AddressError("is not a postgresql:// URL; correct it."))
    if parsed.get_backend_name() not in ("postgres", "postgresql"):
        raise AddressError(f"must be a PostgreSQL, not {parsed.get_backend_name()}.")
    if not schemas.is_possible(schemas.schema_of(parsed)):
        raise AddressError(schemas.RULE)
    return _engine(parsed.set(drivername="postgresql+psycopg2"), os.getpid(), wait_s, pings)


@cache
def _engine(url: URL, _pid: int, wait_s: int | None, pings: bool) -> Engine:
    """Create an engine for each process, as connections must not be shared with a forked child."""
    # At DEBUG SQLAlchemy logs each row of a result: user ids, an account's tokens.
    logging.getLogger(f"sqlalchemy.engine.Engine.{_LOGGING_NAME}").addFilter(_is_no_row)
    engine = create_engine(
        url,
        pool_pre_ping=pings and wait_s is None,
        pool_size=2,
        max_overflow=6,
        pool_timeout=wait_s or _POOL_TIMEOUT_S,
        isolation_level="READ COMMITTED",
        use_native_hstore=False,
        logging_name=_LOGGING_NAME,
        hide_parameters=True,  # they are personal data
        connect_args={
            "application_name": "gong",
            "connect_timeout": wait_s or _CONNECT_TIMEOUT_S,
            "client_encoding": "utf8",
            # A network failure is noticed within a minute, not after hours.
            "keepalives_idle": 20,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 60_000,
        },
    )
    event.listen(engine, "do_connect", _drop_own_parameter)
    if wait_s is not None:
        event.listen(engine, "checkout", partial(_ping_within, engine, wait_s))
    return engine


def _is_no_row(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _ping_within(engine: Engine, wait_s: int, connection: Any, _record: object, _proxy: object) -> None:
    """Check a connection of the pool as pre_ping does, which would wait without end.

    A proxy that stopped forwarding still acknowledges packets, so that no timeout of TCP applies.
    """
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as server:
            timeout = Timer(wait_s, _shut_down, [server])
            timeout.daemon = True
            timeout.start()
            try:
                engine.dialect.do_ping(connection)
            finally:
                timeout.cancel()
    except psycopg2.Error as error:
        raise InvalidatePoolError from error  # the pool makes a new connection


def _shut_down(server: socket.socket) -> None:
    with suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)


def _drop_own_parameter(
    _dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]
) -> None:
    """Remove our parameter from libpq's, which refuses unknown ones."""
    parameters.pop(schemas.PARAMETER, None)


def display_address(url: URL) -> str:
    """Return ``host:port/database`` of an address, without login and password."""
    return f"{url.host or 'local socket'}:{url.port or 5432}/{url.database or ''}"


def explain_connection_error(error: DBAPIError, url: URL) -> str:
    """Say why no connection could be made, and what to do, for a sentence that begins with the database."""
    message = str(error.orig).strip()
    advice = next((advice for sign, advice in _CONNECTION_ADVICE if re.search(sign, message)), None)
    return f"{display_address(url)} can't be reached: {advice or message.splitlines()[0]}."


def is_transient(error: DBAPIError | psycopg2.Error) -> bool:
    """Whether the same statement may succeed a moment later."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "pgcode", None)
    return code is None or bool(_TRANSIENT.match(code))


def explain_statement_error(error: DBAPIError | psycopg2.Error, url: URL, create: str = _CREATE) -> str:
    """Say why a statement failed, without the row values that Postgres quotes.

    :param create: what to do where a table or column is missing.
    """
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "pgcode", None)
    if code is None:
        return f"{display_address(url)} broke the connection; try again."
    # Postgres quotes values in details and context, and in the message itself for bad data.
    message = cause.diag.message_primary
    if cause.diag.source_function == _RAISED_BY_A_FUNCTION:
        message = "a function or trigger of the database raised it"
    elif code.startswith(_DATA_EXCEPTION):
        message = "a value does not fit"
    advice = f"; {_STATEMENT_ADVICE[code].format(create=create)}" if code in _STATEMENT_ADVICE else ""
    return f"{display_address(url)} refused (SQLSTATE {code}): {message}{advice}."


# In the same transaction: behind a pooler, the next one may have another session.
_ENTER = "SELECT set_config('search_path', %(search_path)s, true), set_config('jit', 'off', true);\n"


class Database:
    """The coordination database: one connection, made again when it breaks; creates the tables at first use.

    Each ``run`` is one message and one transaction: no client holds a lock while it works, dies or is
    disconnected, and it works behind a pooler.

    :param engine: of a PostgreSQL, from ``engine_for``.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._search_path = schemas.search_path(engine.url)
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
        values = {"search_path": self._search_path, **parameters}
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
                    schemas.make_tables(connection)
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
