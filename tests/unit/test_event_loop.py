"""The background event loop: an interrupted or stopped one ends what runs on it, with its clean-up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout

from gong_provider.hooks.event_loop import BackgroundEventLoop

ended: list[str] = []


async def work(name: str) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.2)  # as a thread of the database is waited for
        ended.append(name)


async def items() -> AsyncIterator[int]:
    task = asyncio.create_task(work("task"))
    try:
        yield 1
        await work("step")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        ended.append("iterator")


@pytest.fixture
def loop() -> BackgroundEventLoop:
    ended.clear()
    return BackgroundEventLoop()


def test_an_interrupt_is_raised_after_the_clean_up_of_what_it_cancels(loop: BackgroundEventLoop) -> None:
    with pytest.raises(AirflowTaskTimeout), timeout(0.3):  # type: ignore[no-untyped-call]
        list(loop.iterate(items()))
    assert ended == ["step", "task", "iterator"]
    loop.stop()


def test_iterators_that_are_not_at_their_end_are_ended_first(loop: BackgroundEventLoop) -> None:
    numbers = loop.iterate(items())
    assert next(numbers) == 1
    loop.end_iterators()
    assert ended == ["task", "iterator"]
    loop.stop()
    del numbers


def test_a_stopped_loop_has_ended_its_tasks_and_its_thread(loop: BackgroundEventLoop) -> None:
    async def start() -> asyncio.Task[None]:
        task = asyncio.create_task(work("task"))
        await asyncio.sleep(0.05)
        return task

    assert not loop.run(start()).done()
    loop.stop()
    assert ended == ["task"]
    assert "gong" not in {thread.name for thread in threading.enumerate()}
