"""What can go wrong with the warehouse, each as one sentence: where, what, and what to do."""

from __future__ import annotations

import re
from typing import Any

import psycopg2
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

_FULL = "all its connections are in use; raise max_connections, or try later"
_NO_ROUTE = "there is no route to this host; check the host and the network"

# libpq gives no code for a failed connection, only words.
_CONNECTION_TROUBLES = (
    ("Connection refused", "nothing answers there; start the database, or correct its host and port"),
    ("could not translate host name", "this host name is unknown; correct it"),
    ("password authentication failed", "it refuses this login or password; correct them"),
    ("no password supplied", "it wants a password; give one in the connection"),
    ('role ".*" does not exist', "it does not know this login; create the role, or correct the login"),
    ('database ".*" does not exist', "it has no database of this name; create it, or correct the name"),
    ("timeout expired", "it does not answer; check host, port and firewall"),
    ("No route to host|Network is unreachable", _NO_ROUTE),
    ("pg_hba.conf", "it lets no one in from here, or not this way; see its pg_hba.conf and sslmode"),
    ("too many clients|remaining connection slots", _FULL),
    ("starting up", "it is still starting; try again in a moment"),
    ("response to SSL negotiation|closed the connection", "is it a PostgreSQL? Correct host and port"),
)

_MIGRATE = "run `make migrate` (or `python -m include.warehouse migrate`) as a role that may make tables"
_STATEMENT_ADVICE = {
    "3F000": _MIGRATE,  # no such schema
    "42P01": _MIGRATE,  # no such table
    "42703": _MIGRATE,  # no such column
    "42501": f"grant this right; where it is the right to create, {_MIGRATE} instead",
}
_DATA_EXCEPTION = "22"


class WarehouseError(Exception):
    """The warehouse can't do what was asked. Its text is for people and holds no data and no secret."""


class AccountMismatchError(WarehouseError):
    """The warehouse belongs to another Gong account."""


def place(url: URL) -> str:
    """``host:port/database`` of an address, without login and password."""
    return f"{url.host or 'local socket'}:{url.port or 5432}/{url.database or ''}"


def connection_failure(error: DBAPIError, url: URL) -> WarehouseError:
    """The sentence for a connection that could not be made."""
    words = str(error.orig).strip()
    advice = next((advice for sign, advice in _CONNECTION_TROUBLES if re.search(sign, words)), None)
    return WarehouseError(f"The warehouse {place(url)} can't be reached: {advice or words.splitlines()[0]}.")


def statement_failure(error: DBAPIError | psycopg2.Error, url: URL) -> WarehouseError:
    """The sentence for a statement that failed. Rows never get into it, though Postgres quotes them."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "pgcode", None)
    if code is None:
        return WarehouseError(f"The warehouse {place(url)} broke the connection; try again.")
    # Postgres quotes values in details and context, and in the message itself for bad data.
    message = "a value does not fit" if code.startswith(_DATA_EXCEPTION) else cause.diag.message_primary
    advice = f"; {_STATEMENT_ADVICE[code]}" if code in _STATEMENT_ADVICE else ""
    return WarehouseError(f"The warehouse {place(url)} refused (SQLSTATE {code}): {message}{advice}.")
