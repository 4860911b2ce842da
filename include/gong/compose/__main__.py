"""``python -m include.gong.compose keys | database | probe URL``: steps of docker-compose.yaml."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from urllib.request import urlopen

from include.gong.compose.database import create_databases
from include.gong.compose.keys import KeysError, distribute_keys, write_keys


def main() -> None:
    """Run one step; an expected failure is printed as one sentence."""
    parser = argparse.ArgumentParser(prog="python -m include.gong.compose", description=__doc__)
    parser.add_argument("step", choices=("keys", "database", "probe"))
    parser.add_argument("url", nargs="?", help="URL that must respond with 2xx within 5 s (probe)")
    arguments = parser.parse_args()
    if arguments.step == "probe":
        urlopen(arguments.url, timeout=5).close()  # noqa: S310 - the address in docker-compose.yaml
        return
    folder = Path(os.environ["SECRETS_FOLDER"])
    if arguments.step == "database":
        create_databases(folder, os.environ["POSTGRES_ADDRESS"])
        return
    try:
        write_keys(folder, os.environ, Path(os.environ["GIVEN_FOLDER"]))
    except KeysError as error:
        sys.exit(str(error))
    distribute_keys(folder, Path(os.environ["SERVICES_FOLDER"]))


if __name__ == "__main__":
    main()
