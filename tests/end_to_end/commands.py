"""The real commands, run in a checkout of their own whose path has a blank and an umlaut."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from include.local.processes import leftovers
from include.local.settings import Place

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 180


class Checkout:
    """A copy of what the commands use, with a local folder of its own."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "gong chëckout"
        self.local = self.root / ".local"
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("dags", "plugins", "include"):
            shutil.copytree(ROOT / name, self.root / name, ignore=ignored)

    def environment(self, **variables: str) -> dict[str, str]:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "GONG"))
        }
        path = os.pathsep.join((str(self.root), str(self.root / "plugins")))
        return clean | {"PYTHONPATH": path} | variables

    def start(self, command: str, **variables: str) -> subprocess.Popen[str]:
        """A command in the background."""
        return subprocess.Popen(
            [sys.executable, "-m", "include.local", command],
            cwd=self.root,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str, **variables: str) -> tuple[int, str]:
        """A command to its end: its exit code and what it printed."""
        process = self.start(command, **variables)
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=60)
            raise AssertionError(f"{command} did not end in {SECONDS} s; it said:\n{said}") from None
        return process.returncode, said

    def processes(self) -> list[psutil.Process]:
        """Whatever a command of this checkout has started and left running."""
        found = set(leftovers(Place(self.local)))
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if str(self.local) in " ".join(process.cmdline()):
                    found.add(process)
        return list(found)


@contextmanager
def checkout() -> Iterator[Checkout]:
    """A checkout that is removed at the end, with all it started."""
    directory = Path(tempfile.mkdtemp(prefix="gong-e2e-"))
    try:
        made = Checkout(directory)
        yield made
        left = made.processes()
        for process in left:
            process.kill()
        assert not left, f"left running: {left}"
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def eventually(condition: Any, what: str, seconds: float = 120, every_s: float = 0.1) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(every_s)
    return value
