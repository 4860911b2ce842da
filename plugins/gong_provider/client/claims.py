"""Whose histories this task asks for: claimed in small portions shortly before the calls."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

FRESH_S = 0.2
"""A claim holds so long without being asked again."""
BUSY_S = 1.0
"""So often those whom another task asks for are offered again."""
LARGEST_PORTION = 256


class Claimed(NamedTuple):
    """What became of some ids: these are ours, those another task's just now; the rest need no call."""

    ours: Collection[str]
    busy: Collection[str]


Claim = Callable[[Sequence[str]], Claimed]


class Claims:
    """The ids of a batch, handed out one by one.

    :param claim: asked with the next ids; may read a database. None: all are ours.
    """

    def __init__(self, user_ids: Sequence[str], claim: Claim | None) -> None:
        self._ahead = deque(user_ids)
        self._claim = claim
        self._ours: deque[str] = deque()
        self._busy: list[str] = []
        self._claimed_at: dict[str, float] = {}
        self._portion = 1
        self._last_at = 0.0
        self._lock = asyncio.Lock()
        self.is_stopped = False

    async def next(self) -> str | None:
        """The next id to ask for; None: there are no more."""
        async with self._lock:
            if self._ours and not self._is_fresh(self._ours[0]):
                self._ahead.extendleft(reversed(self._ours))  # all at once, or each would be asked for alone
                self._ours.clear()
            while not self._ours and not self.is_stopped:
                if not self._ahead:
                    if not self._busy:
                        return None
                    await asyncio.sleep(BUSY_S)
                    self._ahead.extend(self._busy)
                    self._busy.clear()
                await self._claim_portion()
            return self._ours.popleft() if self._ours else None

    def put_back(self, user_id: str) -> None:
        """An id that was handed out is to be asked for later."""
        self._ahead.appendleft(user_id)

    async def renew(self, user_ids: Sequence[str]) -> None:
        """Claim anew users that were asked for already."""
        if self._claim is not None:
            await asyncio.to_thread(self._claim, user_ids)

    async def still_ours(self, user_id: str) -> bool:
        """Whether an id that was handed out is to be asked for still, as of a moment ago."""
        if self.is_stopped or self._is_fresh(user_id):
            return not self.is_stopped
        return user_id in (await self._claimed([user_id])).ours

    def _is_fresh(self, user_id: str) -> bool:
        now = asyncio.get_running_loop().time()
        return self._claim is None or now - self._claimed_at[user_id] <= FRESH_S

    async def _claim_portion(self) -> None:
        """As many as are asked for while their claim is fresh: one where calls are slow."""
        now = asyncio.get_running_loop().time()
        took_s, self._last_at = now - self._last_at, now
        if took_s <= FRESH_S / 2:
            self._portion = min(2 * self._portion, LARGEST_PORTION)
        elif took_s > FRESH_S:
            self._portion = max(self._portion // 2, 1)
        ids = [self._ahead.popleft() for _ in range(min(self._portion, len(self._ahead)))]
        ours = (await self._claimed(ids)).ours
        self._ours.extend(user_id for user_id in ids if user_id in ours)

    async def _claimed(self, ids: Sequence[str]) -> Claimed:
        if self._claim is None:
            return Claimed(ids, ())
        claimed = await asyncio.to_thread(self._claim, ids)
        now = asyncio.get_running_loop().time()
        self._claimed_at.update(dict.fromkeys(ids, now))
        self._busy.extend(claimed.busy)
        return claimed
