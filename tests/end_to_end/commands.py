"""Runs the commands as a user types them: make, in a checkout whose path has a blank and an umlaut."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from include.gong.local.processes import leftovers
from include.gong.local.settings import StateDir
from tests.support import GongService

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 180
FOR_OTHERS = ("AIRFLOW", "GONG", "MAKE", "MFLAGS", "PYTHON")
"""Prefixes of variables that belong to the caller of the tests."""


class Checkout:
    """An installed copy of the files that the commands use, with its own local folder."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "gong chëckout"
        self.local = self.root / ".local"
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("dags", "plugins", "include"):
            shutil.copytree(ROOT / name, self.root / name, ignore=ignored)
        for name in ("Makefile", "requirements.txt", "constraints.txt", "pyproject.toml"):
            shutil.copy2(ROOT / name, self.root)
        self._install()

    def _install(self) -> None:
        """Create an environment with this checkout's provider and else our packages."""
        environment = self.root / ".venv"
        venv.create(environment, symlinks=True)
        (packages,) = environment.glob("lib/python3*/site-packages")
        ours = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"
        (packages / "checkout.pth").write_text(f"{self.root / 'plugins'}\n{ours}\n")
        (environment / "ready").touch()

    def program(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start the program behind `make`, with separate stdout and stderr."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOR_OTHERS)}
        return subprocess.Popen(
            [self.root / ".venv" / "bin" / "python", "-m", "include.gong.local", *words],
            cwd=self.root,
            env=inherited | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self, command: str, **variables: str) -> subprocess.Popen[str]:
        """Start `make` with a command in the background, in its own session.

        :param variables: go on the command line; those of Airflow and of connections into the environment.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOR_OTHERS)}
        given = {name: value for name, value in variables.items() if name.startswith(FOR_OTHERS)}
        typed = [f"{name}={value}" for name, value in variables.items() if name not in given]
        return subprocess.Popen(
            ["make", command, *typed],
            cwd=self.root,
            env=inherited | given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str, **variables: str) -> tuple[int, str]:
        """Run a command to its end; return its exit code and output."""
        process = self.start(command, **variables)
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()
            output, _ = process.communicate(timeout=60)
            raise AssertionError(f"{command} did not end in {SECONDS} s; its output:\n{output}") from None
        return process.returncode, output

    def processes(self) -> list[psutil.Process]:
        """Return running processes that commands of this checkout started, and the commands themselves."""
        found = set(leftovers(StateDir(self.local))) if self.local.exists() else set()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if str(self.root) in " ".join((process.cwd(), *process.cmdline())):
                    found.add(process)
        return list(found)

    def scheduler(self) -> psutil.Process | None:
        """Return the running scheduler, if there is one."""
        for process in self.processes():
            with suppress(psutil.Error):
                if "scheduler" in process.cmdline():
                    return process
        return None


def interrupt(process: subprocess.Popen[str]) -> None:
    """Send Ctrl-C as a terminal does: to make and its children."""
    os.killpg(process.pid, signal.SIGINT)


def killed(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Kill the processes with SIGKILL and return them."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    return processes


@contextmanager
def checkout() -> Iterator[Checkout]:
    """Yield a checkout; at the end, stop all it started and remove it, whatever went wrong."""
    directory = Path(tempfile.mkdtemp(prefix="gong-e2e-"))
    try:
        made = Checkout(directory)
        try:
            yield made
            left = made.processes()
            assert not left, f"left running: {left}"
        finally:
            eventually(lambda: not killed(made.processes()), "the end of all that was started", 20)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def eventually(condition: Any, what: str, seconds: float = 120, every_s: float = 0.1) -> Any:
    """Wait for the condition's first true value and return it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(every_s)
    return value


def connection_to(service: GongService | str, **fields: Any) -> str:
    """Return AIRFLOW_CONN_GONG_DEFAULT for a service."""
    extra = {"calls_per_second": 0, "calls_per_day": 0, "timeout_s": 5, **fields.pop("extra", {})}
    host = service if isinstance(service, str) else service.base_url
    connection = {"conn_type": "gong", "host": host, "login": GongService.key, "password": GongService.secret}
    return json.dumps(connection | fields | {"extra": extra})


def uri(database_url: str) -> str:
    return database_url.replace("postgresql+psycopg2", "postgres")
