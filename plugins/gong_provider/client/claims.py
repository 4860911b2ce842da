"""The queue of users whose histories a task fetches: claims a few users shortly before their calls."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

FRESH_S = 0.2
"""Seconds for which a claim is not checked again."""
CONTENDED_RETRY_S = 1.0
"""Seconds until users claimed by another task are tried again."""
MAX_BATCH = 256


class ClaimResult(NamedTuple):
    """Which ids this task has claimed, and which another task has; the rest need no call."""

    claimed: Collection[str]
    contended: Collection[str]


Claim = Callable[[Sequence[str]], ClaimResult]


class ClaimQueue:
    """Hands out user ids one by one, each claimed before.

    :param claim: called with the next ids; may read a database. None: nothing needs a claim.
    """

    def __init__(self, user_ids: Sequence[str], claim: Claim | None) -> None:
        self._pending = deque(user_ids)
        self._claim = claim
        self._claimed: deque[str] = deque()
        self._contended: list[str] = []
        self._claimed_at: dict[str, float] = {}
        self._batch_size = 1
        self._last_at = 0.0
        self._lock = asyncio.Lock()
        self.is_stopped = False

    async def next(self) -> str | None:
        """Return the next id to fetch; None: there are no more."""
        async with self._lock:
            if self._claimed and not self._is_fresh(self._claimed[0]):
                self._pending.extendleft(reversed(self._claimed))  # all, or each would be claimed alone
                self._claimed.clear()
            while not self._claimed and not self.is_stopped:
                if not self._pending:
                    if not self._contended:
                        return None
                    await asyncio.sleep(CONTENDED_RETRY_S)
                    self._pending.extend(self._contended)
                    self._contended.clear()
                await self._claim_batch()
            return self._claimed.popleft() if self._claimed else None

    def put_back(self, user_id: str) -> None:
        """Queue an id again, as the next one."""
        self._pending.appendleft(user_id)

    async def renew(self, user_ids: Sequence[str]) -> None:
        """Claim again users whose histories were fetched."""
        if self._claim is not None:
            await asyncio.to_thread(self._claim, user_ids)

    async def is_still_claimed(self, user_id: str) -> bool:
        """Whether this task still has its claim on an id that was handed out, as of a moment ago."""
        if self.is_stopped or self._is_fresh(user_id):
            return not self.is_stopped
        return user_id in (await self._claim_ids([user_id])).claimed

    def _is_fresh(self, user_id: str) -> bool:
        now = asyncio.get_running_loop().time()
        return self._claim is None or now - self._claimed_at[user_id] <= FRESH_S

    async def _claim_batch(self) -> None:
        """Claim as many ids as can be fetched while their claims are fresh: one where calls are slow."""
        now = asyncio.get_running_loop().time()
        took_s, self._last_at = now - self._last_at, now
        if took_s <= FRESH_S / 2:
            self._batch_size = min(2 * self._batch_size, MAX_BATCH)
        elif took_s > FRESH_S:
            self._batch_size = max(self._batch_size // 2, 1)
        ids = [self._pending.popleft() for _ in range(min(self._batch_size, len(self._pending)))]
        claimed = (await self._claim_ids(ids)).claimed
        self._claimed.extend(user_id for user_id in ids if user_id in claimed)

    async def _claim_ids(self, ids: Sequence[str]) -> ClaimResult:
        if self._claim is None:
            return ClaimResult(ids, ())
        result = await asyncio.to_thread(self._claim, ids)
        now = asyncio.get_running_loop().time()
        self._claimed_at.update(dict.fromkeys(ids, now))
        self._contended.extend(result.contended)
        return result
