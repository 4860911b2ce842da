"""The common command line of all contestants, and the line of results they print."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Load = Callable[[str, str, int], dict[str, object] | None]
"""Loads the account: (address of the service, libpq address of an empty database, users) → more results."""

ACCESS_KEY, ACCESS_KEY_SECRET = "bench", "bench"


def contest(load: Load) -> None:
    """Run a load with the arguments of the command line; print its duration and peak memory.

    The clock starts after all imports: the start of the process does not count.
    """
    parser = argparse.ArgumentParser(description=sys.modules[load.__module__].__doc__)
    parser.add_argument("--gong", required=True, help="address of the service")
    parser.add_argument("--postgres", required=True, help="postgresql:// address of an empty database")
    parser.add_argument("--users", type=int, required=True, help="number of users of the service")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    more = load(arguments.gong, arguments.postgres, arguments.users) or {}
    seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "peak_mb": peak_bytes() / 2**20, **more}))  # noqa: T201


@contextmanager
def repeatedly(look: Callable[[], None], every_s: float) -> Iterator[None]:
    """Call a function every ``every_s`` seconds in a thread, while the ``with`` lasts."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(every_s):
            look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def peak_bytes(pid: int | str = "self") -> int:
    """Return the peak resident memory of a process.

    Not by getrusage: after fork and exec, Linux still counts the parent's memory there.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
