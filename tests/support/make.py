"""Runs make in a folder that has this checkout's Makefile and code."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120
_OF_THE_TESTS = ("AIRFLOW", "GONG", "MAKE", "MFLAGS", "PYTHON")


class Make:
    """A folder in which make uses the environment of the tests.

    :param environment: variables of the shell.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder / "checkout"
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_TESTS)
        } | dict(environment)
        python = self.folder / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        for name in ("Makefile", "requirements.txt", "constraints.txt", "pyproject.toml"):
            shutil.copy2(ROOT / name, self.folder)
        for name in ("include", "plugins", "dags"):
            (self.folder / name).symlink_to(ROOT / name)
        path = f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"
        python.write_text(
            f"#!/bin/sh\n"
            f'[ "$1" = -I ] && shift\n'  # isolated, it would import the installed provider
            f'PYTHONPATH="{path}" exec "{sys.executable}" "$@"\n'
        )
        python.chmod(0o755)
        (self.folder / ".venv" / "ready").touch()

    def run(self, *words: str) -> tuple[int, str]:
        """Run a command without a terminal; return its exit code and output."""
        done = subprocess.run(
            ["make", *words], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def typed(self, reply: bytes, *words: str) -> tuple[int, str]:
        """Run a command at a terminal and type a reply; return its exit code and the terminal's output.

        The terminal can't move its cursor: progress is lines.
        """
        ours, theirs = pty.openpty()
        try:
            process = subprocess.Popen(
                ["make", *words], cwd=self.folder, env=self.environment | {"TERM": "dumb"}, stdin=theirs,
                stdout=theirs, stderr=theirs, start_new_session=True,
            )  # fmt: skip
            os.close(theirs)
            os.write(ours, reply)
            shown = b"".join(iter(lambda: _read(ours), b""))
            return process.wait(SECONDS), shown.decode(errors="replace")
        finally:
            os.close(ours)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # its other side is closed
        return b""
