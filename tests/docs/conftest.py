"""The documentation site, built once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import ROOT


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does, from a copy of its sources, and return its folder."""
    copy = tmp_path_factory.mktemp("docs")
    for name in ("docs", "plugins"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    example = "include/gong/sync/example_alerts.py"
    (copy / example).parent.mkdir(parents=True)
    shutil.copy(ROOT / example, copy / example)
    for path in (ROOT / "mkdocs.yml", *ROOT.glob("*.md")):
        shutil.copy(path, copy)
    done = build(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / ".local" / "site"


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command of `make docs` there."""
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
