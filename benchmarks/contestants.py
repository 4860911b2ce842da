"""The contestants: our own programs, and those in peers/, each in an environment of its own."""

from __future__ import annotations

import hashlib
import importlib
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include.gong.local.settings import ROOT

PEERS = Path(__file__).parent / "peers"
BENCH = ROOT / ".local" / "bench"

OURS = {
    "ours_load": "ours, the load alone",
    "ours_dag": "ours, the DAG run on Airflow",
    "ours_dag_empty": "ours, the DAG run, an empty account",
    "plain_script": "a plain script (requests, execute_values)",
    "naive_dag": "a first DAG (HttpOperator, one mapped task a user)",
}
_EMPTY = "_empty"


@dataclass(frozen=True)
class Contestant:
    """A program that loads the account.

    :ivar most_users: maximum number of users it is measured with; None: no maximum.
    :ivar requirements: pinned packages of its own environment; None: it runs in ours.
    :ivar packages: the pins to show in the report.
    """

    name: str
    title: str
    program: list[str]
    users_sql: str
    changes_sql: str
    most_users: int | None = None
    requirements: Path | None = None
    packages: list[str] = field(default_factory=list)

    @property
    def command(self) -> list[str]:
        """The command without arguments; creates its environment if it does not exist."""
        python = sys.executable if self.requirements is None else str(_venv(self.name, self.requirements))
        return [python, *self.program]

    @property
    def is_dag(self) -> bool:
        """Whether it needs an Airflow."""
        return "_dag" in self.name


def contestants() -> list[Contestant]:
    """Return all contestants but the limit, ours first."""
    return [*map(ours, OURS)] + [
        _peer(folder) for folder in sorted(PEERS.glob("*/")) if (folder / "rows.py").is_file()
    ]


def limit() -> Contestant:
    """Return the limit itself."""
    return ours("limit")


def ours(name: str) -> Contestant:
    """Return our own program of this name."""
    module = importlib.import_module(f"benchmarks.{name.removesuffix(_EMPTY)}")
    most = 0 if name.endswith(_EMPTY) else getattr(module, "MOST_USERS", None)
    return Contestant(
        name, OURS.get(name, "the limit"), ["-m", module.__name__], module.USERS_SQL, module.CHANGES_SQL, most
    )


def _peer(folder: Path) -> Contestant:
    rows: dict[str, Any] = runpy.run_path(str(folder / "rows.py"))
    requirements = folder / "requirements.txt"
    pins = [line.strip() for line in requirements.read_text().splitlines() if "==" in line and line[0] != "#"]
    named = rows.get("PACKAGES")
    return Contestant(
        folder.name,
        rows.get("TITLE", folder.name),
        [str(folder / "contestant.py")],
        rows["USERS_SQL"],
        rows["CHANGES_SQL"],
        rows.get("MOST_USERS"),
        requirements,
        [pin for pin in pins if named is None or pin.partition("==")[0] in named],
    )


def _venv(name: str, requirements: Path) -> Path:
    """Return the Python of a peer's environment; recreates it when its requirements have changed."""
    directory = BENCH / "venvs" / name
    mark, digest = directory / "made-of", hashlib.sha256(requirements.read_bytes()).hexdigest()
    python = directory / "bin" / "python"
    if not mark.exists() or mark.read_text() != digest:
        sys.stderr.write(f"Installing {name} into {directory} ...\n")
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        install: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([*install, "-r", requirements], check=True, env=without_ours(os.environ))
        mark.write_text(digest)
    return python


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without our PYTHONPATH, for a peer."""
    return {name: value for name, value in environment.items() if name != "PYTHONPATH"}
