"""Describes the machine of a benchmark, so that its numbers can be compared."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.contestants import Contestant
from benchmarks.harness import Server, execute

PACKAGES = ("apache-airflow", "aiohttp", "requests", "psycopg2-binary", "sqlalchemy", "uvloop")


def machine(cluster: Server, measured: list[Contestant]) -> dict[str, object]:
    """Return hardware, versions, and the packages of each peer."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgres": execute(cluster, "SHOW server_version"),
        "packages": {name: version(name) for name in PACKAGES},
        "peers": {each.name: each.packages for each in measured if each.packages},
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
