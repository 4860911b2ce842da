"""What all rate limiters share: an account's limits, the slots of its calls, and the wait for them."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from gong_provider.client import errors

MAX_PAUSE_S = 60.0
"""The longest wait within a call; longer ones are left to the caller, which can free its worker."""
DAILY_QUOTA_EXHAUSTED_S = 3600.0
"""A wait of at least this means that the daily quota is used up: no task waits for that."""
MAX_LATE_S = 0.03
"""A slot is used at most so late: where many calls meet at the service, it sees too many in a second."""
LOG_EVERY_S = 10.0
"""A wait longer than this is logged, and logged again at this interval."""
SPARE = 1.02
"""Slots are this much further apart than the limit demands, so that calls that start or travel a little late
don't exceed it at the service."""
MAX_RESERVED_S = 0.5
"""A process may reserve the slots of this many seconds: a stall of that length loses none."""
UNLIMITED_RESERVED = 1000
MAX_GUESSED_PAUSE_S = 900.0
"""The longest pause after 429s without a Retry-After."""

log: logging.Logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """An account's limits.

    :ivar calls_per_second: 0: no limit.
    :ivar calls_per_day: in any 24 hours, for the whole company. 0: no limit.
    :ivar reserve: of these, reserved for the company's other tools.
    """

    calls_per_second: float
    calls_per_day: int
    reserve: int = 0

    @property
    def exist(self) -> bool:
        """Whether there is any limit."""
        return bool(self.calls_per_second or self.calls_per_day)

    @property
    def daily_limit(self) -> int:
        """Calls in any 24 hours that are not reserved; 0: no limit."""
        return max(1, self.calls_per_day - self.reserve) if self.calls_per_day else 0

    def remaining(self, used: int) -> int | None:
        """Return how many of these remain when so many are used; None: no limit."""
        return max(0, self.daily_limit - used) if self.calls_per_day else None

    @property
    def interval_s(self) -> float:
        """Seconds between slots, so that no second has more than the limit. 0: no limit."""
        # Rounded up to a microsecond, the precision of Postgres.
        return math.ceil(SPARE / self.calls_per_second * 1e6) / 1e6 if self.calls_per_second else 0.0

    @property
    def max_reserved(self) -> int:
        """How many slots a process may reserve at once."""
        return (
            max(1, int(MAX_RESERVED_S * self.calls_per_second))
            if self.calls_per_second
            else UNLIMITED_RESERVED
        )


@dataclass(frozen=True, slots=True)
class CallsRemaining:
    """Calls that an account has left of its daily quota.

    :ivar now: calls free at this moment; None: no limit.
    :ivar for_run: calls free for a run that begins now, as calls made a day ago stop counting during its
        first hour; None: no limit.
    :ivar others: calls of other tools, if a 429 about the daily quota showed them in the last 24 hours.
    :ivar exhausted_until: end of a pause for which Gong reported the daily quota as used up.
    :ivar at: when this was read.
    """

    now: int | None
    for_run: int | None
    others: int
    exhausted_until: datetime | None
    at: datetime


class Slot(NamedTuple):
    """The time reserved for one call of the account.

    :ivar wait_s: seconds until it begins, 0: call now.
    :ivar at: when it begins, on the rate limiter's clock; None: no slot was given, the wait is too long.
    """

    wait_s: float
    at: datetime | float | None


class RateLimiter(Protocol):
    """Limits an account's calls; a client acquires a slot before each, retries included."""

    @property
    def max_reserved(self) -> int:
        """How many slots one process may reserve at once, so that a short stall loses none."""

    async def acquire(self, endpoint: str) -> Slot:
        """Reserve the next free slot for a call of an endpoint, and count the call."""

    async def is_valid(self, slot: Slot) -> bool:
        """Whether the slot may still be used, as no pause began since. Called when the slot begins."""

    async def release(self, endpoint: str, slot: Slot) -> None:
        """Uncount a slot that was not used."""

    async def pause(self, seconds: float | None) -> float:
        """Stop all calls for so many seconds after a 429; None: Gong did not say how long.

        :return: seconds until the pause ends.
        """

    async def recall_filter_path(self) -> str | None:
        """Return the path of users by filter that worked last."""

    async def remember_filter_path(self, path: str) -> None:
        """Store the path of users by filter that worked."""


class Work(Protocol):
    """The work of a call, chosen only when its slot begins."""

    async def wait(self) -> bool:
        """Return True once there may be work, False if there is none any more. Waits without a slot."""

    def is_wanted(self) -> bool:
        """Whether to reserve a slot now. Costs no message."""

    async def prepare(self) -> bool:
        """Choose the work, shortly before the slot begins; False: there is none now."""


class SlotWaiter:
    """Waits for the slots of one process. A few of its calls reserve one at a time, the others queue here.

    :param rate_limiter: gives the slots.
    :param wait_until_ready: returns when calls have what they need; may take long.
    """

    def __init__(self, rate_limiter: RateLimiter, wait_until_ready: Callable[[], Awaitable[object]]) -> None:
        self._rate_limiter = rate_limiter
        self._wait_until_ready = wait_until_ready
        self._reservations = asyncio.Semaphore(rate_limiter.max_reserved)
        self._prepare_s = 0.0
        self._logged_at = -LOG_EVERY_S

    async def acquire(self, endpoint: str, work: Work | None = None) -> bool:
        """Return True when the call may start, False if there is no work any more.

        A slot that is late or whose work does not come is released; the work keeps what it has chosen.

        :param work: None: the call is needed in any case.
        :raises GongRateLimitError: a slot takes longer than a call may wait.
        """
        may_be_late = False
        while work is None or await work.wait():
            await self._wait_until_ready()  # before the queue: calls that wait for it fail together, too
            async with self._reservations:
                while work is None or work.is_wanted():
                    slot = await self._rate_limiter.acquire(endpoint)
                    if slot.wait_s > MAX_PAUSE_S:
                        raise _too_long(slot.wait_s)
                    late_s = await self._wait_for(slot, work)
                    if late_s is not None and (late_s <= MAX_LATE_S or may_be_late):
                        return True
                    await self._rate_limiter.release(endpoint, slot)
                    may_be_late = late_s is not None  # where all is slow, late is better than never
        return False

    async def _wait_for(self, slot: Slot, work: Work | None) -> float | None:
        """Return how many seconds late the slot is used; None: a pause began, or there is no work."""
        clock = asyncio.get_running_loop().time
        due = clock() + slot.wait_s
        if slot.wait_s <= 0:
            return clock() - due if work is None or await work.prepare() else None
        while (remaining_s := due - clock()) > LOG_EVERY_S:
            self._log_wait(remaining_s, clock())
            await asyncio.sleep(min(LOG_EVERY_S, remaining_s - self._prepare_s))
        await asyncio.sleep(max(0.0, remaining_s - self._prepare_s))
        # Within the slot's time, so that calls held up by it are late: else they would all start at once.
        began_at = clock()
        await self._wait_until_ready()
        if work is not None and not await work.prepare():
            return None
        is_valid = await self._rate_limiter.is_valid(slot)
        self._prepare_s = min(clock() - began_at, 1.0)
        await asyncio.sleep(max(0.0, due - clock()))
        return clock() - due if is_valid else None

    def _log_wait(self, remaining_s: float, now: float) -> None:
        """Log once for all calls that wait at the same time."""
        if now - self._logged_at >= LOG_EVERY_S * 0.9:
            self._logged_at = now
            until = datetime.now(UTC) + timedelta(seconds=remaining_s)
            log.info(
                "No call before %s UTC: Gong asked the account to pause, or all slots before it are reserved",
                f"{until:%H:%M:%S}",
            )


def guessed_pause_s(refusals: int) -> float:
    """Seconds of pause after so many 429s in a row without a Retry-After: doubling, with jitter."""
    return min(MAX_GUESSED_PAUSE_S, 2.0 ** min(refusals, 20)) * random.uniform(0.75, 1.25)


def _too_long(wait_s: float) -> errors.GongRateLimitError:
    kind, why = errors.GongRateLimitError, f"the account's calls pause for {wait_s:.0f} s more"
    if wait_s >= DAILY_QUOTA_EXHAUSTED_S:
        kind = errors.GongDailyQuotaExceededError
        why = f"the account's calls of the day are used up, the next is free in {wait_s / 3600:.1f} hours"
    return kind(f"is not called: {why}", retry_after_s=wait_s)
