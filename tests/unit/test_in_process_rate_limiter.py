"""The rate limiter of one process, where it differs from that of all workers."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from gong_provider.client.endpoints import get_user
from gong_provider.client.slots import SlotWaiter
from gong_provider.rate_limit.in_process import InProcessRateLimiter, in_process_rate_limiter
from gong_provider.rate_limit.limits import Limits, guessed_pause_s


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


def test_calls_whose_precondition_was_slow_do_not_start_at_once() -> None:
    async def work() -> list[float]:
        clock = asyncio.get_running_loop().time
        begin, moments = clock(), list[float]()

        async def precondition() -> bool:
            stall_s = begin + 1 - clock()
            await asyncio.sleep(stall_s if stall_s < 0.8 else 0)
            return True

        async def call() -> None:
            await waiter.acquire(get_user("1"), precondition)
            moments.append(clock())

        waiter = SlotWaiter(InProcessRateLimiter(Limits(20, 0)), lambda: asyncio.sleep(0))
        await asyncio.gather(*(call() for _ in range(20)))
        return moments

    moments = asyncio.run(work())
    assert max(sum(start <= at < start + 0.2 for at in moments) for start in moments) <= 6


def test_one_account_has_one_rate_limiter() -> None:
    assert in_process_rate_limiter("a", Limits(3, 10)) is in_process_rate_limiter("a", Limits(3, 10))
    assert in_process_rate_limiter("a", Limits(3, 10)) is not in_process_rate_limiter("b", Limits(3, 10))


def test_a_guessed_pause_has_a_maximum() -> None:
    assert guessed_pause_s(40) < 20 * 60
