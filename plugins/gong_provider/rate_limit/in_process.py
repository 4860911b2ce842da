"""Rate limiter of an account within one process, for deployments without a shared database."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gong_provider.rate_limit.base import MAX_PAUSE_S, CallsRemaining, Limits, Slot, guessed_pause_s

_DAY_S = 86_400.0
_RUN_S = 3600.0
_RESET_REFUSALS_S = 60.0


@dataclass(slots=True)
class _Account:
    """The state of an account, shared by its rate limiters, whose limits may differ."""

    next_at: float = 0.0
    paused_until: float = 0.0
    refusals: int = 0
    day: deque[float] = field(default_factory=deque)
    filter_path: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class InProcessRateLimiter:
    """Limits the calls of this process.

    :param limits: of the account.
    :param clock: a monotonic clock, in seconds.
    :param account: the state that it shares with others; None: its own.
    """

    def __init__(
        self, limits: Limits, clock: Callable[[], float] = time.monotonic, account: _Account | None = None
    ) -> None:
        self.max_reserved: int = limits.max_reserved
        self._limits = limits
        self._interval_s = limits.interval_s
        self._clock = clock
        self._account = account or _Account()

    async def acquire(self, endpoint: str) -> Slot:  # noqa: ARG002
        account = self._account
        with account.lock:
            now = self._clock()
            at = max(now, account.next_at, account.paused_until, self._day_free_at(now))
            if at > now + MAX_PAUSE_S:
                return Slot(at - now, None)
            account.next_at = at + self._interval_s
            if self._limits.exist:
                account.day.append(at)
        return Slot(at - now, at)

    async def is_valid(self, slot: Slot) -> bool:
        return isinstance(slot.at, float) and slot.at >= self._account.paused_until

    async def release(self, endpoint: str, slot: Slot) -> None:  # noqa: ARG002
        with self._account.lock, suppress(ValueError):
            self._account.day.remove(slot.at)  # type: ignore[arg-type]

    def _day_free_at(self, now: float) -> float:
        day = self._account.day
        if not day:
            return 0.0
        while day and day[0] <= now - _DAY_S:
            day.popleft()
        limit = self._limits.daily_limit
        return day[-limit] + _DAY_S if limit and len(day) >= limit else 0.0

    async def pause(self, seconds: float | None) -> float:
        now, account = self._clock(), self._account
        with account.lock:
            if seconds is None and now >= account.paused_until:
                is_new = now > account.paused_until + _RESET_REFUSALS_S
                account.refusals = 1 if is_new else account.refusals + 1
                seconds = guessed_pause_s(account.refusals)
            account.paused_until = max(account.paused_until, now + (seconds or 0.0))
            return account.paused_until - now

    async def calls_remaining(self) -> CallsRemaining:
        """Return the calls that remain, as far as this process knows."""
        now = self._clock()
        with self._account.lock:
            self._day_free_at(now)
            used = len(self._account.day)
            used_for_run = sum(at > now - _DAY_S + _RUN_S for at in self._account.day)
        return CallsRemaining(
            now=self._limits.remaining(used),
            for_run=self._limits.remaining(used_for_run),
            others=0,
            exhausted_until=None,
            at=datetime.now(UTC),
        )

    async def recall_filter_path(self) -> str | None:
        return self._account.filter_path

    async def remember_filter_path(self, path: str) -> None:
        self._account.filter_path = path


_accounts: dict[str, _Account] = {}


def in_process_rate_limiter(account: str, limits: Limits) -> InProcessRateLimiter:
    """Return a rate limiter that shares the account's state in this process, whatever its own limits are."""
    return InProcessRateLimiter(limits, account=_accounts.setdefault(account, _Account()))
