"""Whom the benchmark finds to measure: ours, and peers with an environment of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.benchmarks import contestants
from tests.benchmarks.contestants import Contestant


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contestant:
    folder = tmp_path / "peers" / "slow"
    folder.mkdir(parents=True)
    (folder / "requirements.txt").write_text("# none\n")
    (folder / "rows.py").write_text(
        "USERS_SQL = 'u'\nCHANGES_SQL = 'c'\nMOST_USERS = 50\nTITLE = 'a slow one'\n"
    )
    (folder / "contestant.py").write_text("import sys; print(sys.prefix)\n")
    (tmp_path / "peers" / "unfinished").mkdir()
    monkeypatch.setattr(contestants, "PEERS", tmp_path / "peers")
    monkeypatch.setattr(contestants, "BENCH", tmp_path / "bench")
    return contestants.contestants()[-1]


def test_ours_come_first_and_the_limit_is_none_of_them() -> None:
    names = [each.name for each in contestants.contestants()]
    assert names[: len(contestants.OURS)] == list(contestants.OURS)
    assert "limit" not in names


def test_a_peer_is_what_its_folder_says(peer: Contestant) -> None:
    assert (peer.name, peer.title, peer.most_users) == ("slow", "a slow one", 50)
    assert (peer.users_sql, peer.changes_sql, peer.packages) == ("u", "c", [])
    assert not peer.is_dag


def test_a_peer_runs_in_an_environment_of_its_own_made_once_for_its_requirements(
    peer: Contestant, tmp_path: Path
) -> None:
    done = subprocess.run(peer.command, capture_output=True, text=True, check=True)
    home = tmp_path / "bench" / "venvs" / "slow"
    assert done.stdout.strip() == str(home)
    (home / "kept").touch()
    assert peer.command
    assert (home / "kept").exists()
    assert peer.requirements
    peer.requirements.write_text("# others\n")
    assert peer.command
    assert not (home / "kept").exists()
