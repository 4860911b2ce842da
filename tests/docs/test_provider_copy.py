"""docs/architecture.md: the copy of the provider that its commands make is independent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import ROOT, blocks_of

PROVIDER = ROOT / "plugins" / "gong_provider"


@pytest.mark.skipif(not shutil.which("perl"), reason="the block needs perl")
def test_a_copy_under_another_name_is_independent(tmp_path: Path) -> None:
    (block,) = [each for each in blocks_of(ROOT / "docs" / "architecture.md") if each.tested]
    shutil.copytree(
        PROVIDER, tmp_path / "plugins" / PROVIDER.name, ignore=shutil.ignore_patterns("__pycache__")
    )
    subprocess.run(["bash", "-e"], input=block.text, cwd=tmp_path, text=True, check=True)
    shutil.rmtree(tmp_path / "plugins" / PROVIDER.name)
    script = """
import sys
from roster_provider.hooks.roster import RosterHook
from roster_provider.operators import roster
print(RosterHook.conn_type, roster.RosterListUsersOperator(task_id="t").roster_conn_id)
print([name for name in sys.modules if "gong_provider." in name and "provider_info" not in name])
"""
    env = os.environ | {"PYTHONPATH": str(tmp_path / "plugins"), "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-2:] == ["roster roster_default", "[]"]
