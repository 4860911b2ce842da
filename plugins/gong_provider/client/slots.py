"""The turn of each call: waited for as the quota says, given up when the call is no longer wanted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from gong_provider.client import errors
from gong_provider.client.models import GongRequest
from gong_provider.client.protocols import DAY_USED_UP_S, MAX_PAUSE_S, Place, Quota

LATE_S = 0.03
"""A place is used at most so late: where many calls meet at the service, it sees too many in a second."""

SAY_S = 10.0
"""A longer wait is said, and again so often."""

Wanted = Callable[[], Awaitable[bool]]

log = logging.getLogger(__name__)


class NotWantedError(Exception):
    """When its turn came, the call was no longer needed: it was not made."""


class Turns:
    """The turns of one process; a few of its calls at a time hold a place, the others queue here.

    :param quota: gives the places.
    :param ready: returns when a call has what it needs; it may take long.
    """

    def __init__(self, quota: Quota, ready: Callable[[], Awaitable[object]]) -> None:
        self._quota = quota
        self._ready = ready
        self._places = asyncio.Semaphore(quota.ahead)
        self._check_s = 0.0
        self._said_at = -SAY_S

    async def take(self, request: GongRequest, wanted: Wanted | None) -> None:
        """Return when the call may start.

        :raises GongRateLimitError: that takes longer than a call may wait.
        :raises NotWantedError: the call is not needed any more.
        """
        may_be_late = False
        await self._ready()  # before they queue: all who wait for it wait together, also where it fails
        async with self._places:
            while wanted is None or await wanted():
                place = await self._quota.take(request.endpoint)
                if place.wait_s > MAX_PAUSE_S:
                    raise _too_long(request, place.wait_s)
                try:
                    late_s = await self._wait_for(place, wanted)
                except NotWantedError:
                    await self._quota.give_back(request.endpoint, place)
                    raise
                if late_s is not None and (late_s <= LATE_S or may_be_late):
                    return
                await self._quota.give_back(request.endpoint, place)
                may_be_late = late_s is not None  # where all is slow, late is better than never
        raise NotWantedError

    async def _wait_for(self, place: Place, wanted: Wanted | None) -> float | None:
        """Seconds by which it is used late; None: a pause began, and it can't be used at all.

        :raises NotWantedError: the call is not needed any more.
        """
        clock = asyncio.get_running_loop().time
        due = clock() + place.wait_s
        if place.wait_s <= 0:
            return 0.0
        while (left := due - clock()) > SAY_S:
            self._say(left, clock())
            await asyncio.sleep(min(SAY_S, left - self._check_s))
        await asyncio.sleep(max(0.0, left - self._check_s))
        # Here, so that who waits for these is late: else all such would call at once.
        await self._ready()
        asked_at = clock()
        if wanted is not None and not await wanted():
            raise NotWantedError
        holds = await self._quota.holds(place)
        self._check_s = min(clock() - asked_at, 1.0)
        await asyncio.sleep(max(0.0, due - clock()))
        return clock() - due if holds else None

    def _say(self, left_s: float, now: float) -> None:
        """Once for all who wait at the same time."""
        if now - self._said_at >= SAY_S * 0.9:
            self._said_at = now
            until = datetime.now(UTC) + timedelta(seconds=left_s)
            log.info(
                "No call before %s UTC: Gong asked the account to pause, or its calls a second are taken",
                f"{until:%H:%M:%S}",
            )


def _too_long(request: GongRequest, wait: float) -> errors.GongRateLimitError:
    kind, why = errors.GongRateLimitError, f"the account's calls pause for {wait:.0f} s more"
    if wait >= DAY_USED_UP_S:
        kind = errors.GongDayUsedUpError
        why = f"the account's calls of the day are used up, the next is free in {wait / 3600:.1f} hours"
    return kind(f"is not called: {why}", **request.where, retry_after_s=wait)
