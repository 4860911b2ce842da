"""Checks the Gong account of AIRFLOW_CONN_GONG_DEFAULT: python -m include.gong.check_live"""

from __future__ import annotations

import os
import sys

from include.gong.local.connections import GONG, variable
from include.gong.local.settings import LocalError, StateDir


def main() -> int:
    """Print the findings; return 0 when the connection works."""
    name = variable(GONG)
    try:
        if not os.environ.get(name):
            raise LocalError(f'Set {name} to your Gong connection first; the README\'s "Your Gong" says how.')
        _settle_airflow(StateDir.from_environment())
        from include.gong.check_live.check import check  # Airflow reads the environment when imported

        sys.stdout.write(f"{check()}\n")
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130
    return 0


def _settle_airflow(state_dir: StateDir) -> None:
    """Remove settings of another Airflow, keep the home folder clean and the output free of logs."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW__") or name == "AIRFLOW_CONFIG"]:
        del os.environ[name]
    os.environ["AIRFLOW_HOME"] = str(state_dir.directory / "airflow")
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "CRITICAL"


if __name__ == "__main__":
    sys.exit(main())
