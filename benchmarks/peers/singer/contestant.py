"""What many teams would take: a Singer tap of the Meltano SDK, piped into target-postgres."""

from __future__ import annotations

import os
import sys
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ["LOGLEVEL"] = "WARNING"  # of both: no line for every call

from contestant import ACCESS_KEY, ACCESS_KEY_SECRET, contest, peak_bytes
from tap import TapGong
from target_postgres.target import TargetPostgres

_processes = get_context("fork")  # when all is imported: what they cost to start is no part of a load


def load(gong: str, postgres: str, users: int) -> dict[str, object]:
    """Run ``tap | target``: two processes, a pipe between them."""
    reading, writing = os.pipe()
    peaks: SimpleQueue[int] = _processes.SimpleQueue()
    tap = _processes.Process(target=_tap, args=(gong, reading, writing, peaks))
    target = _processes.Process(target=_target, args=(postgres, reading, writing, peaks))
    tap.start()
    target.start()
    os.close(reading)
    os.close(writing)
    tap.join()
    target.join()
    if tap.exitcode or target.exitcode:
        raise RuntimeError(f"The tap ended with {tap.exitcode}, the target with {target.exitcode}")
    return {"peak_mb": max(peaks.get(), peaks.get()) / 2**20}


def _tap(gong: str, reading: int, writing: int, peaks: SimpleQueue[int]) -> None:
    os.close(reading)
    os.dup2(writing, sys.stdout.fileno())
    os.close(writing)
    config = {"api_url": gong, "access_key": ACCESS_KEY, "access_key_secret": ACCESS_KEY_SECRET}
    TapGong(config=config).sync_all()
    peaks.put(peak_bytes())


def _target(postgres: str, reading: int, writing: int, peaks: SimpleQueue[int]) -> None:
    os.close(writing)
    config = {
        "sqlalchemy_url": postgres.replace("postgresql:", "postgresql+psycopg:", 1),
        "default_target_schema": "gong",
        "use_copy": True,
        "validate_records": False,
    }
    with os.fdopen(reading, encoding="utf-8") as lines:
        TargetPostgres(config=config).listen(lines)
    peaks.put(peak_bytes())


if __name__ == "__main__":
    contest(load)
