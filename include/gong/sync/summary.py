"""Summarizes a run in one line: for the log of its last task and its note in Airflow's UI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from include.gong.warehouse.findings import FindingsOfRun


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


def findings_summary(found: FindingsOfRun) -> str:
    """Return what a run found in one line: numbers by kind, no names.

    Such as ``2 new (1 active not recorded, 1 setting conflict), 0 resolved; 141 open``.
    """
    open_ = sum(found.open.values())
    if found.is_first:
        return f"{counted(open_, 'finding')} at the first comparison{_by_kind(found.open)}"
    changes = {"new": found.new, "resolved": found.resolved}
    parts = [
        f"{len(each):,} {change}{_by_kind(Counter(one.kind for one in each))}"
        for change, each in changes.items()
    ]
    return f"{', '.join(parts)}; {open_:,} open"


def _by_kind(numbers: Mapping[str, int]) -> str:
    kinds = ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in sorted(numbers.items()))
    return f" ({kinds})" if kinds else ""
