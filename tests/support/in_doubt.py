"""What a killed task may have asked for in vain: the histories of a group that is not loaded yet."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.gong_service import Call

UNCOMMITTED_S = 2.1
"""What a failed or killed try may lose, in seconds of calls, as docs/reliability.md promises."""


def is_history(call: Call) -> bool:
    return call.path.endswith("/settings-history")


def asked_lately(calls: Sequence[Call]) -> list[Call]:
    """Those whose answers can't be sure to be in the warehouse yet."""
    calls = list(calls)
    return [call for call in calls if call.time > calls[-1].time - UNCOMMITTED_S]
