"""A task's log while it fetches: progress, rate, time left, and waits."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest

from gong_provider.operators import progress
from gong_provider.operators.progress import Progress
from gong_provider.rate_limit import base
from gong_provider.rate_limit.base import Slot, SlotWaiter


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_logs_progress_rate_and_time_left() -> None:
    clock, lines = Clock(), list[str]()
    tracker = Progress("histories", 10_000, lines.append, clock=clock)
    for _ in range(400):
        clock.now += 1
        tracker.add(3, 3)
    assert lines[-1] == "histories 1,188 of 10,000 · 1,188 calls · 3.0 calls/s · 49 min left"
    assert len(lines) == 80, "one line in five seconds"


def test_the_rate_is_the_recent_one() -> None:
    clock, lines = Clock(), list[str]()
    tracker = Progress("histories", 3000, lines.append, clock=clock)
    for rate in (1, 10):
        for _ in range(100):
            clock.now += 1
            tracker.add(rate, rate)
    assert "10.0 calls/s" in tracker.line()


def test_failures_count_as_done_but_are_named() -> None:
    clock = Clock()
    tracker = Progress("histories", 20, lambda _: None, clock=clock)
    clock.now += 2
    tracker.add(8, 12, failed=2)
    assert re.findall(r"[\d.]+", tracker.line()) == ["8", "20", "2", "12", "6.0", "2"]
    assert re.findall(r"[\d.]+", tracker.summary()) == ["8", "20", "2", "12", "2"]


def test_a_resumed_listing_counts_users_listed_before() -> None:
    clock = Clock()
    tracker = Progress("users", None, lambda _: None, done=500, clock=clock)
    clock.now += 10
    tracker.add(100, 1, of=1000)
    assert re.findall(r"[\d.,]+", tracker.line()) == ["600", "1,000", "1", "0.1", "40"]


def test_silence_and_the_end_are_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENCE_S", 0.2)
    monkeypatch.setattr(progress, "EVERY_S", 0.1)
    lines: list[str] = []
    with Progress("histories", 5, lines.append) as tracker:
        tracker.add(2, 2)
        time.sleep(0.7)
    assert 3 <= len(lines) <= 6, lines
    assert [re.findall(r"\d+", line) for line in lines] == [
        ["2", "5", "2"],
        *[["2", "5", "2", "1"]] * (len(lines) - 1),
    ]


def test_a_task_without_a_call_logs_nothing() -> None:
    lines: list[str] = []
    with Progress("users", None, lines.append):
        pass
    assert lines == []


class _Paused:
    """A rate limiter whose next slot is some time away."""

    max_reserved = 1

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s

    async def acquire(self, _endpoint: str) -> Slot:
        return Slot(self._wait_s, time.monotonic() + self._wait_s)

    async def is_valid(self, _slot: Slot) -> bool:
        return True


@pytest.mark.parametrize(("wait_s", "lines"), [(0.05, 0), (1, 2)])
def test_a_long_wait_logs_its_end(
    wait_s: float, lines: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(base, "LOG_EVERY_S", 0.1)
    monkeypatch.setattr(base, "MAX_LATE_S", 10)  # on a busy machine a late slot would be released
    limiter: Any = _Paused(wait_s)
    begin = time.monotonic()
    with caplog.at_level("INFO"):
        asyncio.run(SlotWaiter(limiter, lambda: asyncio.sleep(0)).acquire("get_user"))
    assert wait_s <= time.monotonic() - begin < wait_s + 5
    assert min(len(caplog.messages), 2) == lines  # again and again, less often where the machine stalls
    assert all(re.search(r"\d\d:\d\d:\d\d UTC", line) for line in caplog.messages)
