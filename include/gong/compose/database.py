"""Creates a login and a database each for Airflow and the warehouse, in the one Postgres."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg2
from psycopg2 import sql

SUPERUSER = "owner"  # POSTGRES_USER in docker-compose.yaml
# Login and database name, and the file with the password.
_LOGINS = {"airflow": "airflow_password", "gong": "warehouse_password"}
_SECONDS = 30.0


def create_databases(folder: Path, address: str) -> None:
    """Create what is missing, and set the passwords to those of the files.

    :param folder: the secrets that ``keys`` wrote.
    :param address: host:port.
    """
    connection = _connect(folder, address)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for login, file in _LOGINS.items():
                _create_database(cursor, login, (folder / file).read_text())
    finally:
        connection.close()


def _create_database(cursor: psycopg2.extensions.cursor, login: str, password: str) -> None:
    name = sql.Identifier(login)
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (login,))
    verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
    cursor.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD %s").format(verb, name), (password,))
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (login,))
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
        # By default, every login may connect to every database.
        cursor.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name))


def _connect(folder: Path, address: str) -> psycopg2.extensions.connection:
    """Connect, with retries: on its first start, the image reports healthy, then restarts its server once."""
    host, _, port = address.partition(":")
    password = (folder / "postgres_password").read_text()
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            return psycopg2.connect(
                host=host, port=port, user=SUPERUSER, password=password, dbname="postgres", connect_timeout=5
            )
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
