"""Chooses a stack's Gong and warehouse: the environment's, else the sandbox and the embedded Postgres."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import ArgumentError

from include.gong.local.airflow_api import Airflow
from include.gong.local.probe import run_module
from include.gong.local.settings import LocalError, StateDir, UsageError
from include.gong.warehouse.connect import address, display_address, engine_for, schema_of, transaction
from include.gong.warehouse.errors import WarehouseError

GONG = "gong_default"
WAREHOUSE = "gong_postgres"
SANDBOX_ACCOUNT = "sandbox"
SANDBOX_CALLS_PER_SECOND = 90  # a little less than it allows
_DESCRIPTION = "Kept by `make up` at {host}, port {port}. Change login, host or port and it is yours."
_FIELDS = ("conn_type", "host", "port", "login", "password", "schema")
DATABASES = ("gong_sandbox", "gong_sandbox_live", "gong")
"""The embedded databases: of the sandbox in either API variant, and of a Gong account. They share nothing."""


@dataclass(frozen=True)
class Sources:
    """The two connections that the environment sets; None where it sets none.

    :ivar variant: the API variant of the sandbox; empty: not chosen, which is the contract's.
    """

    gong: str | None
    postgres: str | None
    variant: str = ""

    @classmethod
    def from_environment(cls, variant: str = "") -> "Sources":
        """Read AIRFLOW_CONN_GONG_DEFAULT and AIRFLOW_CONN_GONG_POSTGRES; empty means not set."""
        gong, postgres = (os.environ.get(variable(name)) or None for name in (GONG, WAREHOUSE))
        if gong and variant:
            raise UsageError(f"{variable(GONG)} names a Gong; only the sandbox has a variant to choose.")
        return cls(gong, postgres, variant)

    @property
    def fingerprint(self) -> str:
        """A hash that identifies what is used without showing it; empty for the defaults."""
        given = [self.gong, self.postgres, self.variant == "live"]
        return hashlib.sha256(json.dumps(given).encode()).hexdigest() if any(given) else ""

    @property
    def is_chosen(self) -> bool:
        """Whether anything was chosen; otherwise any running stack will do."""
        return any((self.gong, self.postgres, self.variant))

    @property
    def warehouse(self) -> URL | None:
        """The given warehouse; None: the embedded Postgres."""
        return warehouse_url(self.postgres) if self.postgres else None

    @property
    def database(self) -> str:
        """The name of the embedded database: sandbox data and an account's data never share one."""
        sandbox, live, account = DATABASES
        return account if self.gong else live if self.variant == "live" else sandbox

    def check_warehouse(self, say: Callable[[str], None] = print) -> URL | None:
        """Show the given warehouse, check that it may store this data, and return it; None: embedded."""
        url = self.warehouse
        if url is None:
            return None
        where = f"{display_address(url)} (AIRFLOW_CONN_GONG_POSTGRES)"
        say(f"Warehouse: {where}. The sync creates a schema `{schema_of(url)}` there.")
        account = _account_in(url)
        if self.gong is None and account not in (None, SANDBOX_ACCOUNT):
            raise LocalError(
                f"The warehouse {display_address(url)} stores a Gong account's data; sandbox data must not "
                "get in there. Set AIRFLOW_CONN_GONG_DEFAULT, or unset AIRFLOW_CONN_GONG_POSTGRES."
            )
        return url


def variable(connection_id: str) -> str:
    """Return the environment variable that sets a connection of Airflow."""
    return f"AIRFLOW_CONN_{connection_id.upper()}"


def connection_in(environment: Mapping[str, str], connection_id: str) -> str:
    """Return the connection that an Airflow of this environment uses, with its password, as JSON or URI.

    By Airflow's own command, for REST shows no password.

    :raises LocalError: Airflow has no such connection, or could not be asked.
    """
    if given := environment.get(variable(connection_id)):
        return given
    done = run_module(environment, "airflow", "connections", "get", connection_id, "--output", "json")
    if "Connection not found" in done.stderr:
        raise LocalError(
            f"Airflow has no connection {connection_id}: create it in its UI, Admin, Connections."
        )
    # Airflow may log to the same stream.
    shown = next((line for line in done.stdout.splitlines() if line.startswith("[{")), "")
    if not shown:
        last = (done.stderr.strip() or "no output").splitlines()[-1]
        raise LocalError(f"Airflow's connection {connection_id} can't be read: {last}")
    (found,) = json.loads(shown)
    return json.dumps({name: found[name] for name in _FIELDS} | {"extra": found["extra_dejson"]})


def sandbox_connection(state_dir: StateDir, port: int) -> dict[str, Any]:
    """Return the connection to the sandbox, with the keys of Airflow's JSON format."""
    return {
        "conn_type": "gong",
        "host": f"http://127.0.0.1:{port}",
        "port": port,  # without it, the UI's Test is refused
        "login": state_dir.secrets["gong_key"],
        "password": state_dir.secrets["gong_secret"],
        "extra": json.dumps(
            {"account": SANDBOX_ACCOUNT, "calls_per_second": SANDBOX_CALLS_PER_SECOND, "calls_per_day": 0}
        ),
    }


def postgres_connection(url: str) -> dict[str, Any]:
    """Return the connection to an embedded Postgres database, with the keys of Airflow's JSON format."""
    parsed = make_url(url)
    return {
        "conn_type": "postgres",
        "host": parsed.host,
        "port": parsed.port,
        "login": parsed.username,
        "password": parsed.password,
        "schema": parsed.database,
    }


def upsert_connection(airflow: Airflow, connection_id: str, desired: dict[str, Any]) -> bool:
    """Create or update a connection in Airflow's metadata; return False if its user has edited it."""
    path = f"connections/{connection_id}"
    found = airflow.get(path)
    body = {"connection_id": connection_id, "description": _description(desired), **desired}
    if not found:
        airflow.post("connections", body)
        return True
    # The host alone is not enough: many have another Postgres on this machine, with login `postgres`.
    if (found["description"], found["login"]) != (_description(found), desired["login"]):
        return False
    airflow.patch(path, body)
    return True


def _description(connection: Mapping[str, Any]) -> str:
    """The description by which `make up` recognizes a connection that it made and that is unchanged."""
    return _DESCRIPTION.format(host=connection.get("host"), port=connection.get("port"))


def warehouse_url(given: str) -> URL:
    """Parse a Postgres connection, given as Airflow's JSON or URI, into its address."""
    try:
        fields = json.loads(given) if given.lstrip().startswith("{") else _fields_of_uri(given)
        extra = fields.get("extra") or {}
        return address(
            login=fields.get("login"),
            password=fields.get("password"),
            host=fields.get("host"),
            port=int(fields["port"]) if fields.get("port") else None,
            schema=fields.get("schema"),
            extras=json.loads(extra) if isinstance(extra, str) else extra,
        )
    except (ArgumentError, ValueError, AttributeError, TypeError):
        # Not chained: the parsers quote invalid input, which may be the password.
        raise LocalError(
            f"The connection {WAREHOUSE} is neither a postgres:// URI nor Airflow's JSON; correct it in "
            f"Airflow, or in {variable(WAREHOUSE)}."
        ) from None


def _fields_of_uri(uri: str) -> dict[str, Any]:
    """Convert an Airflow URI to the keys of its JSON format; nested extras are JSON in ``__extra__``."""
    url = make_url(uri)
    return {
        "login": url.username,
        "password": url.password,
        "host": url.host,
        "port": url.port,
        "schema": url.database,
        "extra": {**url.query, **json.loads(str(url.query.get("__extra__", "{}")))},
    }


def _account_in(url: URL) -> str | None:
    """Return the account whose data a warehouse stores: None for no account, empty for one without a name."""
    try:
        with transaction(engine_for(url)) as connection:
            if connection.scalar(text("SELECT to_regclass('account')")) is None:
                return None
            bound = text("SELECT account FROM account WHERE base_url IS NOT NULL")
            row = connection.execute(bound).one_or_none()
            return (row.account or "") if row else None
    except WarehouseError as error:
        raise LocalError(str(error)) from error
