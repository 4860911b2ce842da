"""The README is one screen and links, and its numbers of calls follow from the limits of a connection."""

from __future__ import annotations

import re
from math import ceil

import pytest

from gong_provider.hooks.connection import DEFAULT_CALLS_PER_DAY, DEFAULT_CALLS_PER_SECOND
from tests.support.documents import ROOT

README = (ROOT / "README.md").read_text()
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text()
LINES = 85


def test_it_is_one_screen() -> None:
    assert len(README.splitlines()) <= LINES


def calls(users: int) -> int:
    """One a hundred users, and one a history."""
    return ceil(users / 100) + users


def days(users: int) -> int:
    """A tenth of each day's calls is reserved."""
    return ceil(calls(users) / (0.9 * DEFAULT_CALLS_PER_DAY))


def test_how_long_a_first_sync_takes() -> None:
    assert f"3,000 users take {calls(3000) / DEFAULT_CALLS_PER_SECOND / 60:.0f} minutes" in README
    assert (days(3000), days(10_000), days(20_000)) == (1, 2, 3)
    assert "10,000 two days, 20,000 three" in README


@pytest.mark.parametrize("users", [250, 3000, 10_000, 20_000])
def test_the_table_of_first_syncs(users: int) -> None:
    pattern = rf"^\| {users:,} \| {calls(users):,} \| .* \| {days(users)} \|$"
    assert re.search(pattern, PERFORMANCE, re.M)
