"""The rate limiter of one process, where it differs from that of all workers."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gong_provider.rate_limit.base import Limits, SlotWaiter, guessed_pause_s
from gong_provider.rate_limit.in_process import InProcessRateLimiter, in_process_rate_limiter


@given(st.sampled_from([0.4, 1, 2.5, 3, 20]), st.lists(st.sampled_from([0.0, 0.01, 0.3, 0.9]), max_size=80))
def test_no_second_has_more_calls_than_the_limit_however_callers_stall(
    rate: float, stalls: list[float]
) -> None:
    clock, moments = SimpleNamespace(now=1000.0), list[float]()
    limiter = InProcessRateLimiter(Limits(rate, 0), lambda: clock.now)
    for stall in stalls:
        clock.now += stall
        clock.now += asyncio.run(limiter.acquire("list_users")).wait_s
        moments.append(clock.now)
    assert all(later - earlier >= 1 / rate for earlier, later in pairwise(moments))


class SlowWork:
    """Work whose choice takes until a moment, a second after the first."""

    def __init__(self, until: float) -> None:
        self._until = until

    async def wait(self) -> bool:
        return True

    def is_wanted(self) -> bool:
        return True

    async def prepare(self) -> bool:
        stall_s = self._until - asyncio.get_running_loop().time()
        await asyncio.sleep(stall_s if stall_s < 0.8 else 0)
        return True


def test_calls_whose_work_was_chosen_slowly_do_not_start_at_once() -> None:
    async def work() -> list[float]:
        clock = asyncio.get_running_loop().time
        slow, moments = SlowWork(clock() + 1), list[float]()

        async def call() -> None:
            assert await waiter.acquire("get_user", slow)
            moments.append(clock())

        waiter = SlotWaiter(InProcessRateLimiter(Limits(20, 0)), lambda: asyncio.sleep(0))
        await asyncio.gather(*(call() for _ in range(20)))
        return moments

    moments = asyncio.run(work())
    assert max(sum(start <= at < start + 0.2 for at in moments) for start in moments) <= 6


class WorkOf:
    """Work that is there when asked, and chosen or not."""

    def __init__(self, *chosen: bool) -> None:
        self._chosen = list(chosen)

    async def wait(self) -> bool:
        return bool(self._chosen)

    def is_wanted(self) -> bool:
        return bool(self._chosen)

    async def prepare(self) -> bool:
        return self._chosen.pop(0)


@pytest.mark.parametrize(
    ("chosen", "is_acquired", "counted"),
    [((True,), True, 1), ((False, True), True, 1), ((False, False), False, 0), ((), False, 0)],
)
def test_a_slot_without_work_is_released(chosen: tuple[bool, ...], is_acquired: bool, counted: int) -> None:
    async def work() -> None:
        limiter = InProcessRateLimiter(Limits(50, 100))
        waiter = SlotWaiter(limiter, lambda: asyncio.sleep(0))
        assert await waiter.acquire("get_user", WorkOf(*chosen)) is is_acquired
        assert (await limiter.calls_remaining()).now == 100 - counted

    asyncio.run(work())


def test_connections_of_one_account_share_slots_day_and_pause_whatever_their_limits() -> None:
    async def work() -> None:
        account = str(uuid4())
        one, other = (in_process_rate_limiter(account, Limits(2, 5, reserve)) for reserve in (0, 2))
        assert (await one.acquire("get_user")).wait_s == 0
        assert (await other.acquire("get_user")).wait_s == pytest.approx(0.51, abs=0.1)
        assert [(await each.calls_remaining()).now for each in (one, other)] == [3, 1]
        await one.pause(30)
        assert (await other.acquire("get_user")).wait_s == pytest.approx(30, abs=1)
        another = in_process_rate_limiter(f"{account} another", Limits(2, 5))
        assert (await another.acquire("get_user")).wait_s == 0

    asyncio.run(work())


def test_a_guessed_pause_has_a_maximum() -> None:
    assert guessed_pause_s(40) < 20 * 60
