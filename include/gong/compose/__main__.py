"""``python -m include.gong.compose keys | database | answers URL``: steps of docker-compose.yaml."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from urllib.request import urlopen

from include.gong.compose.database import make_databases
from include.gong.compose.keys import KeysError, hand_out, keep_keys


def main() -> None:
    """Take one step; its failure is a sentence."""
    parser = argparse.ArgumentParser(prog="python -m include.gong.compose", description=__doc__)
    parser.add_argument("step", choices=("keys", "database", "answers"))
    parser.add_argument("url", nargs="?", help="what must answer 2xx within 5 s (answers)")
    arguments = parser.parse_args()
    if arguments.step == "answers":
        urlopen(arguments.url, timeout=5).close()  # noqa: S310 - the address in docker-compose.yaml
        return
    folder = Path(os.environ["SECRETS_FOLDER"])
    if arguments.step == "database":
        make_databases(folder, os.environ["POSTGRES_ADDRESS"])
        return
    try:
        keep_keys(folder, os.environ, Path(os.environ["GIVEN_FOLDER"]))
    except KeysError as error:
        sys.exit(str(error))
    hand_out(folder, Path(os.environ["SERVICES_FOLDER"]))


if __name__ == "__main__":
    main()
