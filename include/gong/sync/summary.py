"""A run in one line: for the log of its last task, and for its note in Airflow's UI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def summary(row: Mapping[str, Any]) -> str:
    """What a run did.

    :param row: of ``sync_runs``; users are those it listed.
    """
    calls = row["calls_made"]
    if not calls and not row["users_listed"]:
        said = "Nothing was owed: 0 calls"
    else:
        said = (
            f"{counted(row['users_listed'], 'user')}, {row['users_new']:,} new, "
            f"{counted(row['changes_new'], 'change')}, {counted(calls, 'call')}"
        )
    if row["histories_left"] is None:  # it ended before that was counted
        return said
    return f"{said}, {counted(row['histories_left'], 'history', 'histories')} left"


def counted(number: int, one: str, many: str = "") -> str:
    """So many things."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
