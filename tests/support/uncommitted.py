"""Finds calls whose results a killed task may lose: histories of a group that is not loaded yet."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.gong_service import Call

UNCOMMITTED_S = 2.1
"""Seconds of calls that a failed or killed try may lose, as docs/reliability.md promises."""


def is_history(call: Call) -> bool:
    return call.path.endswith("/settings-history")


def possibly_uncommitted(calls: Sequence[Call]) -> list[Call]:
    """Return calls whose results may not be in the warehouse yet."""
    calls = list(calls)
    return [call for call in calls if call.time > calls[-1].time - UNCOMMITTED_S]
