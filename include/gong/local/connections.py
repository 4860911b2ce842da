"""Which Gong and which warehouse a stack uses: the environment's, else the sandbox and our Postgres."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import ArgumentError

from include.gong.local.airflow_api import Airflow
from include.gong.local.settings import ROOT, LocalError, Place
from include.gong.warehouse.connect import address, engine_for, place, schema_of, transaction
from include.gong.warehouse.errors import WarehouseError

GONG = "gong_default"
WAREHOUSE = "gong_postgres"
SANDBOX_ACCOUNT = "sandbox"
SANDBOX_CALLS_PER_SECOND = 90  # a little less than it allows
_OURS = "Kept by `make up` at {host}, port {port}. Change login, host or port and it is yours."
_SECONDS = 120
ANSWER = "The connection: "
"""Begins the line of ``ask_airflow``, among what Airflow logs."""


@dataclass(frozen=True)
class Sources:
    """The two connections as the environment gives them, None where it gives none."""

    gong: str | None
    postgres: str | None

    @classmethod
    def from_environment(cls) -> "Sources":
        """AIRFLOW_CONN_GONG_DEFAULT and AIRFLOW_CONN_GONG_POSTGRES; empty is not given."""
        gong, postgres = (os.environ.get(variable(name)) or None for name in (GONG, WAREHOUSE))
        return cls(gong, postgres)

    @property
    def fingerprint(self) -> str:
        """Tells one pair of connections from another without showing them; empty when none is given."""
        given = [self.gong, self.postgres]
        return hashlib.sha256(json.dumps(given).encode()).hexdigest() if any(given) else ""

    @property
    def warehouse(self) -> URL | None:
        """The given warehouse; None: ours."""
        return warehouse_url(self.postgres) if self.postgres else None

    @property
    def database(self) -> str:
        """The embedded database: sandbox data and an account's never share one."""
        return "gong" if self.gong else "gong_sandbox"

    def check_warehouse(self) -> URL | None:
        """The given warehouse, after saying which it is and seeing that it takes this data; None: ours."""
        url = self.warehouse
        if url is None:
            return None
        where = f"{place(url)} (AIRFLOW_CONN_GONG_POSTGRES)"
        print(f"Warehouse: {where}. The sync makes a schema `{schema_of(url)}` there.")
        held = _account_in(url)
        if self.gong is None and held not in (None, SANDBOX_ACCOUNT):
            raise LocalError(
                f"The warehouse {place(url)} holds a Gong account's data; the sandbox's must not get "
                "in there. Set AIRFLOW_CONN_GONG_DEFAULT, or unset AIRFLOW_CONN_GONG_POSTGRES."
            )
        return url


def variable(connection_id: str) -> str:
    """The environment variable that gives Airflow a connection."""
    return f"AIRFLOW_CONN_{connection_id.upper()}"


def connection_in(environment: Mapping[str, str], connection_id: str) -> str:
    """The connection that an Airflow of this environment uses, with its password, as Airflow's JSON or URI.

    :raises LocalError: it has none.
    """
    given = environment.get(variable(connection_id))
    if given:
        return given
    command = [sys.executable, "-m", "include.gong.local.airflow_probe", connection_id]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    answers = [line for line in done.stdout.splitlines() if line.startswith(ANSWER)]
    if not answers:
        raise LocalError((done.stderr.strip() or "Airflow could not be asked").splitlines()[-1])
    found = answers[-1].removeprefix(ANSWER)
    if not found:
        raise LocalError(
            f"Airflow has no connection {connection_id}: make one in its UI, Admin, Connections."
        )
    return found


def sandbox_connection(kept: Place, port: int) -> dict[str, Any]:
    """The connection to our sandbox, in the words of Airflow's JSON form."""
    return {
        "conn_type": "gong",
        "host": f"http://127.0.0.1:{port}",
        "port": port,  # without it, the UI's Test is refused
        "login": kept.secrets["gong_key"],
        "password": kept.secrets["gong_secret"],
        "extra": json.dumps(
            {"account": SANDBOX_ACCOUNT, "calls_per_second": SANDBOX_CALLS_PER_SECOND, "calls_per_day": 0}
        ),
    }


def postgres_connection(url: str) -> dict[str, Any]:
    """The connection to a database of the embedded Postgres, in the words of Airflow's JSON form."""
    parsed = make_url(url)
    return {
        "conn_type": "postgres",
        "host": parsed.host,
        "port": parsed.port,
        "login": parsed.username,
        "password": parsed.password,
        "schema": parsed.database,
    }


def keep(airflow: Airflow, connection_id: str, wanted: dict[str, Any]) -> bool:
    """Make or refresh a connection in Airflow's metadata; False when its user has made it his own."""
    path = f"connections/{connection_id}"
    found = airflow.get(path)
    body = {"connection_id": connection_id, "description": _ours(wanted), **wanted}
    if not found:
        airflow.post("connections", body)
        return True
    # Not by its host alone: many have a Postgres of their own on this machine, and are `postgres` there.
    if (found["description"], found["login"]) != (_ours(found), wanted["login"]):
        return False
    airflow.patch(path, body)
    return True


def _ours(connection: Mapping[str, Any]) -> str:
    """The description by which `make up` knows a connection that it made, and nobody has changed since."""
    return _OURS.format(host=connection.get("host"), port=connection.get("port"))


def warehouse_url(given: str) -> URL:
    """The address in a Postgres connection, given as Airflow's JSON or URI."""
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
        # Not chained: the parsers quote what they could not read, and that may be the password.
        raise LocalError(
            f"The connection {WAREHOUSE} is neither a postgres:// URI nor Airflow's JSON; correct it in "
            f"Airflow, or in {variable(WAREHOUSE)}."
        ) from None


def _fields_of_uri(uri: str) -> dict[str, Any]:
    """An Airflow URI in the words of its JSON form; nested extras are JSON in ``__extra__``."""
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
    """Whose data a warehouse holds: None for nobody's, empty for an account without a name."""
    try:
        with transaction(engine_for(url)) as connection:
            if connection.scalar(text("SELECT to_regclass('account')")) is None:
                return None
            held = connection.execute(text("SELECT account FROM account")).one_or_none()
            return (held.account or "") if held else None
    except WarehouseError as error:
        raise LocalError(str(error)) from error
