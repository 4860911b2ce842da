"""The call quota of an account within this process, where no database is shared."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from gong_provider.client.protocols import MAX_PAUSE_S, Place
from gong_provider.rate_limit.limits import CallsLeft, Limits, guessed_pause_s

_DAY_S = 86_400.0
_RUN_S = 3600.0
_FORGET_REFUSALS_S = 60.0


class ProcessQuota:
    """A quota that binds within this process.

    :param limits: of the account.
    :param clock: seconds that only grow.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.ahead = limits.ahead
        self._limits = limits
        self._clock = clock
        self._next_at = 0.0
        self._paused_until = 0.0
        self._refusals = 0
        self._day: deque[float] = deque()
        self._filter_path: str | None = None
        self._lock = threading.Lock()

    async def take(self, endpoint: str) -> Place:  # noqa: ARG002
        with self._lock:
            now = self._clock()
            at = max(now, self._next_at, self._paused_until, self._day_free_at(now))
            if at > now + MAX_PAUSE_S:
                return Place(at - now, None)
            self._next_at = at + self._limits.interval_s
            if self._limits.calls_per_day:
                self._day.append(at)
        return Place(at - now, at)

    async def holds(self, place: Place) -> bool:
        return isinstance(place.at, float) and place.at >= self._paused_until

    async def give_back(self, endpoint: str, place: Place) -> None:  # noqa: ARG002
        with self._lock, suppress(ValueError):
            self._day.remove(place.at)  # type: ignore[arg-type]

    def _day_free_at(self, now: float) -> float:
        while self._day and self._day[0] <= now - _DAY_S:
            self._day.popleft()
        ours = self._limits.ours
        return self._day[-ours] + _DAY_S if ours and len(self._day) >= ours else 0.0

    async def pause(self, seconds: float | None) -> float:
        now = self._clock()
        with self._lock:
            if seconds is None and now >= self._paused_until:
                is_new = now > self._paused_until + _FORGET_REFUSALS_S
                self._refusals = 1 if is_new else self._refusals + 1
                seconds = guessed_pause_s(self._refusals)
            self._paused_until = max(self._paused_until, now + (seconds or 0.0))
            return self._paused_until - now

    async def calls_left(self) -> CallsLeft:
        """What is left, as far as this process knows."""
        now = self._clock()
        with self._lock:
            self._day_free_at(now)
            used = len(self._day)
            used_for_run = sum(at > now - _DAY_S + _RUN_S for at in self._day)
        return CallsLeft(
            now=self._limits.left(used),
            for_run=self._limits.left(used_for_run),
            others=0,
            exhausted_until=None,
            at=datetime.now(UTC),
        )

    async def recall_filter_path(self) -> str | None:
        return self._filter_path

    async def remember_filter_path(self, path: str) -> None:
        self._filter_path = path


_quotas: dict[tuple[str, Limits], ProcessQuota] = {}


def process_quota(account: str, limits: Limits) -> ProcessQuota:
    """The one quota of an account in this process, whichever connection leads there."""
    return _quotas.setdefault((account, limits), ProcessQuota(limits))
