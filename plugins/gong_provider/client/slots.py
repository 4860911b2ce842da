"""Waits for each call's slot from the rate limiter; skips calls that are no longer needed by then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from gong_provider.client import errors
from gong_provider.client.models import GongRequest
from gong_provider.client.protocols import DAILY_QUOTA_EXHAUSTED_S, MAX_PAUSE_S, RateLimiter, Slot

MAX_LATE_S = 0.03
"""A slot is used at most so late: where many calls meet at the service, it sees too many in a second."""

LOG_EVERY_S = 10.0
"""A wait longer than this is logged, and logged again at this interval."""

Precondition = Callable[[], Awaitable[bool]]

log = logging.getLogger(__name__)


class CallSkipped(Exception):  # noqa: N818 - no failure
    """The call's precondition no longer held when its slot came: no call was made."""


class SlotWaiter:
    """Waits for the slots of one process. A few of its calls reserve one at a time, the others queue here.

    :param rate_limiter: gives the slots.
    :param wait_until_ready: returns when calls have what they need; may take long.
    """

    def __init__(self, rate_limiter: RateLimiter, wait_until_ready: Callable[[], Awaitable[object]]) -> None:
        self._rate_limiter = rate_limiter
        self._wait_until_ready = wait_until_ready
        self._reservations = asyncio.Semaphore(rate_limiter.max_reserved)
        self._check_s = 0.0
        self._logged_at = -LOG_EVERY_S

    async def acquire(self, request: GongRequest, precondition: Precondition | None) -> None:
        """Return when the call may start.

        :raises GongRateLimitError: that takes longer than a call may wait.
        :raises CallSkipped: the precondition does not hold.
        """
        may_be_late = False
        await self._wait_until_ready()  # before the queue: calls that wait for it fail together, too
        async with self._reservations:
            while precondition is None or await precondition():
                slot = await self._rate_limiter.acquire(request.endpoint)
                if slot.wait_s > MAX_PAUSE_S:
                    raise _too_long(request, slot.wait_s)
                try:
                    late_s = await self._wait_for(slot, precondition)
                except CallSkipped:
                    await self._rate_limiter.release(request.endpoint, slot)
                    raise
                if late_s is not None and (late_s <= MAX_LATE_S or may_be_late):
                    return
                await self._rate_limiter.release(request.endpoint, slot)
                may_be_late = late_s is not None  # where all is slow, late is better than never
        raise CallSkipped

    async def _wait_for(self, slot: Slot, precondition: Precondition | None) -> float | None:
        """Return how many seconds late the slot is used; None: a pause began and made it invalid.

        :raises CallSkipped: the precondition does not hold.
        """
        clock = asyncio.get_running_loop().time
        due = clock() + slot.wait_s
        if slot.wait_s <= 0:
            return 0.0
        while (remaining_s := due - clock()) > LOG_EVERY_S:
            self._log_wait(remaining_s, clock())
            await asyncio.sleep(min(LOG_EVERY_S, remaining_s - self._check_s))
        await asyncio.sleep(max(0.0, remaining_s - self._check_s))
        # Within the slot's time, so that calls held up by it are late: else they would all start at once.
        await self._wait_until_ready()
        check_started_at = clock()
        if precondition is not None and not await precondition():
            raise CallSkipped
        is_valid = await self._rate_limiter.is_valid(slot)
        self._check_s = min(clock() - check_started_at, 1.0)
        await asyncio.sleep(max(0.0, due - clock()))
        return clock() - due if is_valid else None

    def _log_wait(self, remaining_s: float, now: float) -> None:
        """Log once for all calls that wait at the same time."""
        if now - self._logged_at >= LOG_EVERY_S * 0.9:
            self._logged_at = now
            until = datetime.now(UTC) + timedelta(seconds=remaining_s)
            log.info(
                "No call before %s UTC: Gong asked the account to pause, or its calls a second are taken",
                f"{until:%H:%M:%S}",
            )


def _too_long(request: GongRequest, wait_s: float) -> errors.GongRateLimitError:
    kind, why = errors.GongRateLimitError, f"the account's calls pause for {wait_s:.0f} s more"
    if wait_s >= DAILY_QUOTA_EXHAUSTED_S:
        kind = errors.GongDailyQuotaExceededError
        why = f"the account's calls of the day are used up, the next is free in {wait_s / 3600:.1f} hours"
    return kind(f"is not called: {why}", **request.where, retry_after_s=wait_s)
