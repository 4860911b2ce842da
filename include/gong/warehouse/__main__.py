"""``python -m include.gong.warehouse``: migrates the schema; exports and applies erasure records."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sqlalchemy import Engine

from gong_provider.client.models import utc_now
from include.gong.warehouse.connect import display_address, engine_for, schema_of
from include.gong.warehouse.erasure_file import apply_erasures, export_erasures
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.migrate import migrate

_VARIABLES = ("GONG_WAREHOUSE_URL", "AIRFLOW_CONN_GONG_POSTGRES")
_WITH_A_FILE = {
    "export-erasures": "write the erasure records into a new FILE, to keep beside backups",
    "apply-erasures": "erase again the users whose records are in FILE, after a backup was restored",
}


def main() -> None:
    """Run a command on the warehouse that the environment names, and print its outcome."""
    parser = argparse.ArgumentParser(prog="python -m include.gong.warehouse", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="bring the schema to this code's version")
    for name, does in _WITH_A_FILE.items():
        commands.add_parser(name, help=does).add_argument("file", metavar="FILE")
    given = parser.parse_args()
    try:
        engine = engine_for(_url())
        if given.command == "migrate":
            message = _migrate(engine)
        elif not given.file:
            raise WarehouseError(f"FILE is missing. Use: make {given.command} FILE=erasures.json.")
        else:
            message = (_export if given.command == "export-erasures" else _apply)(engine, Path(given.file))
    except WarehouseError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{message}\n")


def _migrate(engine: Engine) -> str:
    outcome = "is now at" if migrate(engine) else "was already at"
    return f"{_where(engine)} {outcome} this code's version."


def _export(engine: Engine, file: Path) -> str:
    number = export_erasures(engine, file)
    return (
        f"{number:,} erasure records of {_where(engine)} are in {file}, with their key: keep it as a secret."
    )


def _apply(engine: Engine, file: Path) -> str:
    migrate(engine)
    applied = apply_erasures(engine, file, utc_now())
    rows = ", ".join(f"{number:,} in {table}" for table, number in applied.rows.items())
    return (
        f"{_where(engine)} has the {applied.records:,} erasure records of {file}; {applied.new:,} are new. "
        f"Rows deleted or redacted: {rows or 'none'}."
    )


def _where(engine: Engine) -> str:
    return f"Schema {schema_of(engine.url)} in {display_address(engine.url)}"


def _url() -> str:
    name = next((name for name in _VARIABLES if os.environ.get(name)), None)
    if name is None:
        raise WarehouseError(f"The database is not set: set {_VARIABLES[0]} to a postgresql:// URL.")
    if os.environ[name].lstrip().startswith("{"):
        raise WarehouseError(f"{name} is JSON: set {_VARIABLES[0]} to the same as a postgresql:// URL.")
    return os.environ[name]


if __name__ == "__main__":
    main()
