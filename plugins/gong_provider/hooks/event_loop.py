"""Runs coroutines for synchronous code, on an event loop in a background thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar, cast

T = TypeVar("T")
_END: Any = object()


class BackgroundEventLoop:
    """An event loop that runs until ``stop``."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gong", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return the coroutine's result; cancel it when the caller is interrupted."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """Yield the items one by one; the iterator's tasks run between them, too."""
        running = asyncio.Lock()

        async def step() -> T:
            async with running:
                return cast("T", await anext(items, _END))

        async def end() -> None:
            async with running:  # a cancelled step takes a while to end
                await cast("AsyncGenerator[T]", items).aclose()

        try:
            while (item := self.run(step())) is not _END:
                yield item
        finally:
            if not self._loop.is_closed():
                self.run(end())

    def stop(self) -> None:
        """Stop the loop; cancel the tasks that still run on it."""
        self.run(self._wind_down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _wind_down(self) -> None:
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
