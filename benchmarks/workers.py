"""Processes that share a limit through Postgres: their rate, the time to their first call, their memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.harness import Account, Runner, Server, environment, service
from include.gong.local.settings import ROOT

RATE = 20
USERS = 300


def run_workers(cluster: Server, tree: Path, workers: int) -> dict[str, float]:
    """Run so many workers of a checkout at once."""
    database = f"{workers}_workers_of_{tree.name}"
    cluster.ensure_database(database)
    with service(Account(USERS, rate=RATE)) as gong:
        url = cluster.url(database).replace("+psycopg2", "")
        paths = f"{tree / 'plugins'}{os.pathsep}{ROOT}"
        variables = environment() | {"PYTHONPATH": paths, "AIRFLOW_CONN_GONG_POSTGRES": url}
        command = [sys.executable, "-m", "benchmarks.client_alone", "--gong", gong, "--users", str(USERS)]
        command += ["--rate", str(RATE), "--workers", str(workers), "--first"]
        started = [
            subprocess.Popen(
                [*command, str(first)], cwd=ROOT, env=variables, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )
            for first in range(workers)
        ]  # fmt: skip
        for each in started:
            assert each.stdout
            each.stdout.readline()
        runner = Runner(cluster, Account(USERS), gong, check=False)
        refused = runner.counts()["refused"]
        for each in started:
            assert each.stdin
            each.stdin.write("\n")
            each.stdin.flush()
        results = [json.loads(each.communicate()[0]) for each in started]
        seconds = max(result["seconds"] for result in results)  # they begin together
        assert sum(result["histories"] for result in results) == USERS, results
        return {
            "first call, s": median(result["first_call_s"] for result in results),
            "peak MB": median(result["peak_mb"] for result in results),
            "of the limit": USERS / seconds / RATE,
            "429s": runner.counts()["refused"] - refused,
        }
