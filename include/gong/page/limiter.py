"""The page's own few threads, so that its requests never take those that Airflow's API needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, Semaphore, move_on_after, to_thread
from fastapi import HTTPException

THREADS = 4
WAIT_S = 5.0
RETRY_AFTER = {"Retry-After": "5"}

BUSY = "Too many readers at once. Try again in a moment."

T = TypeVar("T")


class Limiter:
    """Runs work in threads of its own, a few at once; more work waits without a thread, then is refused.

    The threads of Airflow's api-server are 40 for everything, the heartbeats of tasks included. A page that
    waits for Postgres in one of them makes Airflow wait.
    """

    def __init__(self, threads: int = THREADS, wait_s: float = WAIT_S) -> None:
        self._slots = Semaphore(threads)
        self._threads = CapacityLimiter(threads)
        self._wait_s = wait_s

    async def run(self, work: Callable[[], T], *, patiently: bool = False) -> T:
        """What the work returns.

        :param patiently: it goes on with an answer that has begun: wait however long it takes.
        :raises HTTPException: 503: no thread was free for so many seconds.
        """
        with move_on_after(math.inf if patiently else self._wait_s) as wait:
            await self._slots.acquire()
        if wait.cancelled_caught:
            raise HTTPException(503, BUSY, RETRY_AFTER)
        try:
            return await to_thread.run_sync(work, limiter=self._threads)
        finally:
            self._slots.release()
