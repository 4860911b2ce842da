"""Asks the Gong of AIRFLOW_CONN_GONG_DEFAULT what it answers: python -m include.gong.check_live"""

from __future__ import annotations

import os
import sys

from include.gong.local.connections import GONG, variable
from include.gong.local.settings import LocalError, Place


def main() -> int:
    """Print what was seen; 0 when the connection works."""
    name = variable(GONG)
    try:
        if not os.environ.get(name):
            raise LocalError(f'Set {name} to your Gong connection first; the README\'s "Your Gong" says how.')
        _settle_airflow(Place.from_environment())
        from include.gong.check_live.check import check  # Airflow reads the environment when imported

        sys.stdout.write(f"{check()}\n")
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130
    return 0


def _settle_airflow(place: Place) -> None:
    """No settings or secrets of another Airflow, nothing in the home folder, no log among the answers."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW__") or name == "AIRFLOW_CONFIG"]:
        del os.environ[name]
    os.environ["AIRFLOW_HOME"] = str(place.directory / "airflow")
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "CRITICAL"


if __name__ == "__main__":
    sys.exit(main())
