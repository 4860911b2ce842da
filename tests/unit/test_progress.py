"""What a task's log says while it fetches: how far, how fast, how long still, and that it waits."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest

from gong_provider.client import endpoints, slots
from gong_provider.client.protocols import Place
from gong_provider.operators import progress
from gong_provider.operators.progress import Progress


class Clock:
    """A clock that goes on when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_says_how_far_how_fast_and_how_long_still() -> None:
    clock, said = Clock(), list[str]()
    told = Progress("histories", 10_000, said.append, clock=clock)
    for _ in range(400):
        clock.now += 1
        told.add(3, 3)
    assert said[-1] == "histories 1,188 of 10,000 · 1,188 calls · 3.0 calls/s · 49 min left"
    assert len(said) == 80, "one line in five seconds"


def test_the_rate_is_the_recent_one() -> None:
    clock, said = Clock(), list[str]()
    told = Progress("histories", 3000, said.append, clock=clock)
    for rate in (1, 10):
        for _ in range(100):
            clock.now += 1
            told.add(rate, rate)
    assert "10.0 calls/s" in told.line()


def test_failures_count_as_done_but_are_named() -> None:
    clock = Clock()
    told = Progress("histories", 20, lambda _: None, clock=clock)
    clock.now += 2
    told.add(8, 12, failed=2)
    assert re.findall(r"[\d.]+", told.line()) == ["8", "20", "2", "12", "6.0", "2"]
    assert re.findall(r"[\d.]+", told.summary()) == ["8", "20", "2", "12", "2"]


def test_a_listing_that_goes_on_counts_what_was_listed() -> None:
    clock = Clock()
    told = Progress("users", None, lambda _: None, done=500, clock=clock)
    clock.now += 10
    told.add(100, 1, of=1000)
    assert re.findall(r"[\d.,]+", told.line()) == ["600", "1,000", "1", "0.1", "40"]


def test_silence_is_said_and_so_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENCE_S", 0.2)
    monkeypatch.setattr(progress, "EVERY_S", 0.1)
    said: list[str] = []
    with Progress("histories", 5, said.append) as told:
        told.add(2, 2)
        time.sleep(0.7)
    assert 3 <= len(said) <= 6, said
    assert [re.findall(r"\d+", line) for line in said] == [
        ["2", "5", "2"],
        *[["2", "5", "2", "1"]] * (len(said) - 1),
    ]


def test_a_task_without_a_call_says_nothing() -> None:
    said: list[str] = []
    with Progress("users", None, said.append):
        pass
    assert said == []


class _Paused:
    """A quota whose next place is some time away."""

    ahead = 1

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s

    async def take(self, _endpoint: str) -> Place:
        return Place(self._wait_s, time.monotonic() + self._wait_s)

    async def holds(self, _place: Place) -> bool:
        return True


@pytest.mark.parametrize(("wait_s", "said"), [(0.05, 0), (1, 2)])
def test_a_long_wait_says_until_when(
    wait_s: float, said: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slots, "SAY_S", 0.1)
    monkeypatch.setattr(slots, "LATE_S", 10)  # on a busy machine a late place would be given back
    quota: Any = _Paused(wait_s)
    begin = time.monotonic()
    with caplog.at_level("INFO"):
        asyncio.run(slots.Turns(quota, lambda: asyncio.sleep(0)).take(endpoints.get_user("1"), None))
    assert wait_s <= time.monotonic() - begin < wait_s + 5
    assert min(len(caplog.messages), 2) == said  # again and again, less often where the machine stalls
    assert all(re.search(r"\d\d:\d\d:\d\d UTC", line) for line in caplog.messages)
