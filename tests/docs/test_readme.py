"""The README is one screen and links."""

from __future__ import annotations

from tests.support.documents import ROOT

LINES = 85


def test_it_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LINES
