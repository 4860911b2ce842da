"""A small thread pool of the page's own, so that its requests never take the threads of Airflow's API."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, Semaphore, move_on_after, to_thread
from fastapi import HTTPException

THREADS = 4
WAIT_S = 5.0
RETRY_AFTER = {"Retry-After": "5"}

BUSY = "Too many requests at once. Try again in a moment."

T = TypeVar("T")


class Limiter:
    """Runs a few functions at once in its own threads; others wait without a thread, then are refused.

    Airflow's api-server has 40 threads for everything, task heartbeats included. A page that waited for
    Postgres in one of them would make Airflow wait.
    """

    def __init__(self, threads: int = THREADS, wait_s: float = WAIT_S) -> None:
        self._slots = Semaphore(threads)
        self._threads = CapacityLimiter(threads)
        self._wait_s = wait_s

    async def run(self, work: Callable[[], T], *, no_timeout: bool = False) -> T:
        """Run a function in a thread and return its result.

        :param no_timeout: wait for a thread without limit, because the response has already begun.
        :raises HTTPException: 503, no thread became free within ``wait_s``.
        """
        with move_on_after(math.inf if no_timeout else self._wait_s) as wait:
            await self._slots.acquire()
        if wait.cancelled_caught:
            raise HTTPException(503, BUSY, RETRY_AFTER)
        try:
            return await to_thread.run_sync(work, limiter=self._threads)
        finally:
            self._slots.release()
