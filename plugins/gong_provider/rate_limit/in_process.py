"""Rate limiter of an account within one process, for deployments without a shared database."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from gong_provider.client.protocols import MAX_PAUSE_S, Slot
from gong_provider.rate_limit.limits import CallsRemaining, Limits, guessed_pause_s

_DAY_S = 86_400.0
_RUN_S = 3600.0
_RESET_REFUSALS_S = 60.0


class InProcessRateLimiter:
    """Limits the calls of this process.

    :param limits: of the account.
    :param clock: a monotonic clock, in seconds.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_reserved = limits.max_reserved
        self._limits = limits
        self._clock = clock
        self._next_at = 0.0
        self._paused_until = 0.0
        self._refusals = 0
        self._day: deque[float] = deque()
        self._filter_path: str | None = None
        self._lock = threading.Lock()

    async def acquire(self, endpoint: str) -> Slot:  # noqa: ARG002
        with self._lock:
            now = self._clock()
            at = max(now, self._next_at, self._paused_until, self._day_free_at(now))
            if at > now + MAX_PAUSE_S:
                return Slot(at - now, None)
            self._next_at = at + self._limits.interval_s
            if self._limits.calls_per_day:
                self._day.append(at)
        return Slot(at - now, at)

    async def is_valid(self, slot: Slot) -> bool:
        return isinstance(slot.at, float) and slot.at >= self._paused_until

    async def release(self, endpoint: str, slot: Slot) -> None:  # noqa: ARG002
        with self._lock, suppress(ValueError):
            self._day.remove(slot.at)  # type: ignore[arg-type]

    def _day_free_at(self, now: float) -> float:
        while self._day and self._day[0] <= now - _DAY_S:
            self._day.popleft()
        limit = self._limits.daily_limit
        return self._day[-limit] + _DAY_S if limit and len(self._day) >= limit else 0.0

    async def pause(self, seconds: float | None) -> float:
        now = self._clock()
        with self._lock:
            if seconds is None and now >= self._paused_until:
                is_new = now > self._paused_until + _RESET_REFUSALS_S
                self._refusals = 1 if is_new else self._refusals + 1
                seconds = guessed_pause_s(self._refusals)
            self._paused_until = max(self._paused_until, now + (seconds or 0.0))
            return self._paused_until - now

    async def calls_remaining(self) -> CallsRemaining:
        """Return the calls that remain, as far as this process knows."""
        now = self._clock()
        with self._lock:
            self._day_free_at(now)
            used = len(self._day)
            used_for_run = sum(at > now - _DAY_S + _RUN_S for at in self._day)
        return CallsRemaining(
            now=self._limits.remaining(used),
            for_run=self._limits.remaining(used_for_run),
            others=0,
            exhausted_until=None,
            at=datetime.now(UTC),
        )

    async def recall_filter_path(self) -> str | None:
        return self._filter_path

    async def remember_filter_path(self, path: str) -> None:
        self._filter_path = path


_rate_limiters: dict[tuple[str, Limits], InProcessRateLimiter] = {}


def in_process_rate_limiter(account: str, limits: Limits) -> InProcessRateLimiter:
    """Return the one rate limiter of an account in this process, whichever connection names it."""
    return _rate_limiters.setdefault((account, limits), InProcessRateLimiter(limits))
