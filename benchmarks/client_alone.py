"""The client alone: fetches settings histories through the hook, by default all, without limit and Postgres.

Run with PYTHONPATH at a tree's plugins folder, also that of another commit: it uses only what both have.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time

import psutil

from benchmarks.company import Company
from benchmarks.contestant import ACCESS_KEY, ACCESS_KEY_SECRET, peak_bytes

if importlib.util.find_spec("gong_provider.get_provider_info") is None:  # its name before 0.1.0
    sys.modules["gong_provider.get_provider_info"] = importlib.import_module("gong_provider.provider_info")

from gong_provider.hooks.gong import GongHook


def main() -> None:
    """Fetch the histories of a fast Gong's company, and print duration, processor time and numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gong", required=True, help="address of the service")
    parser.add_argument("--users", type=int, required=True, help="number of users of the service")
    parser.add_argument("--rate", type=float, default=0, help="calls a second, shared through gong_postgres")
    parser.add_argument("--first", type=int, default=0, help="of the workers that begin at once, this one")
    parser.add_argument(
        "--workers", type=int, default=0, help="so many; each waits for a line before it begins"
    )
    arguments = parser.parse_args()
    extra = {"calls_per_second": arguments.rate, "calls_per_day": 0, "account": "bench"}
    if not arguments.rate:
        extra["coordination_conn_id"] = ""
    connection = {
        "conn_type": "gong",
        "host": arguments.gong,
        "login": ACCESS_KEY,
        "password": ACCESS_KEY_SECRET,
        "extra": extra,
    }
    os.environ["AIRFLOW_CONN_GONG_DEFAULT"] = json.dumps(connection)
    ids = [user_id for user_id, _ in Company(arguments.users).user_rows()][
        arguments.first :: arguments.workers or 1
    ]
    histories = changes = 0
    with GongHook() as hook:
        hook.list_users()  # the connection's settings and the first socket do not count
        first_call_s = time.time() - psutil.Process().create_time()
        if arguments.workers:
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            sys.stdin.readline()
        begin, begin_cpu = time.perf_counter(), time.process_time()
        for group in hook.iter_history_groups(ids):
            histories += len(group)
            changes += sum(len(history.changes) for history in group if hasattr(history, "changes"))
        seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - begin_cpu
    results = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "first_call_s": first_call_s,
        "peak_mb": peak_bytes() / 2**20,
        "histories": histories,
        "changes": changes,
    }
    sys.stdout.write(f"{json.dumps(results)}\n")


if __name__ == "__main__":
    main()
