"""``python -m include.gong.compose keys | database``: steps of docker-compose.yaml."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from include.gong.compose.keys import KeysError, distribute_keys, write_keys


def main() -> None:
    """Run one step; an expected failure is printed as one sentence."""
    parser = argparse.ArgumentParser(prog="python -m include.gong.compose", description=__doc__)
    parser.add_argument("step", choices=("keys", "database"))
    step = parser.parse_args().step
    folder = Path(os.environ["SECRETS_FOLDER"])
    if step == "database":
        from include.gong.compose.database import create_databases

        create_databases(folder, os.environ["POSTGRES_ADDRESS"])
        return
    try:
        write_keys(folder, os.environ, Path(os.environ["GIVEN_FOLDER"]))
    except KeysError as error:
        sys.exit(str(error))
    distribute_keys(folder, Path(os.environ["SERVICES_FOLDER"]))


if __name__ == "__main__":
    main()
