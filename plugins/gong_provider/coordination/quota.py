"""The budget of calls of one Gong account: calls a second and calls in any 24 hours."""

from __future__ import annotations

import threading
import time
from collections import deque

from gong_provider.api.client import Quota
from gong_provider.api.errors import GongRateLimitError

_DAY_S = 86_400.0


class ProcessQuota:
    """A quota that binds within this process.

    :param calls_per_second: 0 for no limit. Calls are spaced evenly.
    :param calls_per_day: 0 for no limit. A day is any rolling 24 hours.
    """

    def __init__(self, calls_per_second: float, calls_per_day: int) -> None:
        self._interval = 1 / calls_per_second if calls_per_second else 0.0
        self._calls_per_day = calls_per_day
        self._next_at = 0.0
        self._granted: deque[float] = deque()
        self._lock = threading.Lock()

    def reserve(self) -> float:
        now = time.monotonic()
        with self._lock:
            at = max(now, self._next_at)
            if self._calls_per_day:
                self._count_today(now, at)
            self._next_at = at + self._interval
        return at - now

    def _count_today(self, now: float, at: float) -> None:
        while self._granted and self._granted[0] <= now - _DAY_S:
            self._granted.popleft()
        if len(self._granted) >= self._calls_per_day:
            wait = self._granted[0] + _DAY_S - now
            raise GongRateLimitError(
                f"is not called: this process has used its {self._calls_per_day} calls of 24 hours; "
                f"the next is free in {wait / 3600:.1f} hours",
                retry_after_s=wait,
                calls=0,
            )
        self._granted.append(at)

    def pause(self, seconds: float) -> None:
        with self._lock:
            self._next_at = max(self._next_at, time.monotonic() + seconds)


_quotas: dict[tuple[str, float, int], ProcessQuota] = {}


def process_quota(account_key: str, calls_per_second: float, calls_per_day: int) -> Quota:
    """The one quota of an account in this process, whichever connection leads there."""
    key = (account_key, calls_per_second, calls_per_day)
    return _quotas.setdefault(key, ProcessQuota(calls_per_second, calls_per_day))
