"""``python -m include.warehouse migrate``: makes the tables where the loader itself may not."""

from __future__ import annotations

import argparse
import os
import sys

from include.warehouse.connect import engine_for, place, schema_of
from include.warehouse.errors import WarehouseError
from include.warehouse.migrate import migrate

_VARIABLES = ("GONG_WAREHOUSE_URL", "AIRFLOW_CONN_GONG_POSTGRES")


def main() -> None:
    """Upgrade the warehouse that the environment names and say so in one line."""
    parser = argparse.ArgumentParser(prog="python -m include.warehouse", description=__doc__)
    parser.add_argument("command", choices=["migrate"], help="bring the schema to this code's version")
    parser.parse_args()
    try:
        engine = engine_for(_url())
        outcome = "is now at" if migrate(engine) else "was already at"
    except WarehouseError as error:
        sys.exit(str(error))
    where = f"Schema {schema_of(engine.url)} in {place(engine.url)}"
    sys.stdout.write(f"{where} {outcome} this code's version.\n")


def _url() -> str:
    name = next((name for name in _VARIABLES if os.environ.get(name)), None)
    if name is None:
        raise WarehouseError(f"Say which database: set {_VARIABLES[0]} to a postgresql:// URL.")
    if os.environ[name].lstrip().startswith("{"):
        raise WarehouseError(f"{name} is JSON: set {_VARIABLES[0]} to the same as a postgresql:// URL.")
    return os.environ[name]


if __name__ == "__main__":
    main()
