"""Runs coroutines for synchronous code, on an event loop in a background thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar, cast

T = TypeVar("T")
_END: Any = object()


class BackgroundEventLoop:
    """An event loop that runs until ``stop``, as ``asyncio.run`` would run it."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._endings: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._thread = threading.Thread(target=self._serve, name="gong", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._runner:  # cancels tasks and closes async generators at the end
            self._loop.run_forever()

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

        self._endings.append(end)
        try:
            while (item := self.run(step())) is not _END:
                yield item
        finally:
            if end in self._endings:
                self._endings.remove(end)
                self.run(end())

    def end_iterators(self) -> None:
        """End the iterators that are not at their end, with their tasks."""
        while self._endings:
            self.run(self._endings.pop()())

    def stop(self) -> None:
        """Stop the loop; cancel the tasks that still run on it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
