"""Summarizes a run in one line: for the log of its last task and its note in Airflow's UI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def summary(row: Mapping[str, Any]) -> str:
    """Return what a run did, in one line.

    :param row: of ``sync_runs``; users are those the run listed.
    """
    calls = row["calls_made"]
    if not calls and not row["users_listed"]:
        text = "Nothing to fetch: 0 calls"
    else:
        text = (
            f"{counted(row['users_listed'], 'user')}, {row['users_new']:,} new, "
            f"{counted(row['changes_new'], 'change')}, {counted(calls, 'call')}"
        )
    if row["histories_remaining"] is None:  # it ended before that was counted
        return text
    return f"{text}, {counted(row['histories_remaining'], 'history', 'histories')} remaining"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun, such as ``1 user`` or ``2 users``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
