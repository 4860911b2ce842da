"""The budget of one process, where it differs from that of all workers (test_quota_in_postgres.py)."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gong_provider.coordination.limits import Limits, guessed_pause_s
from gong_provider.coordination.quota import ProcessQuota, process_quota

HOUR = 3600.0


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def take(quota: ProcessQuota) -> float:
    return asyncio.run(quota.take("list_users")).wait_s


def places(quota: ProcessQuota, clock: Clock, stalls: list[float]) -> list[float]:
    """The places of one who waits for each, and now and then comes late to ask."""
    moments = []
    for stall in stalls:
        clock.now += stall
        clock.now += take(quota)
        moments.append(clock.now)
    return moments


@given(st.sampled_from([0.4, 1, 2.5, 3, 20]), st.lists(st.sampled_from([0.0, 0.01, 0.3, 0.9]), max_size=80))
def test_no_second_holds_more_than_the_limit_however_callers_stall(rate: float, stalls: list[float]) -> None:
    clock = Clock()
    moments = places(ProcessQuota(Limits(rate, 0), clock), clock, stalls)
    assert all(later - earlier >= 1 / rate for earlier, later in pairwise(moments))


def test_a_day_is_any_24_hours_and_leaves_the_reserve() -> None:
    clock = Clock()
    quota = ProcessQuota(Limits(0, 10, reserve=8), clock)
    assert take(quota) == 0
    clock.now += HOUR
    assert take(quota) == 0
    assert take(quota) == pytest.approx(23 * HOUR)
    clock.now += 22.5 * HOUR
    left = asyncio.run(quota.calls_left())
    assert (left.now, left.for_run) == (0, 1)
    clock.now += 0.5 * HOUR
    assert take(quota) == 0
    assert take(quota) == pytest.approx(HOUR)


def test_one_account_has_one_quota() -> None:
    assert process_quota("a", Limits(3, 10)) is process_quota("a", Limits(3, 10))
    assert process_quota("a", Limits(3, 10)) is not process_quota("b", Limits(3, 10))


def test_a_guessed_pause_has_an_end() -> None:
    assert guessed_pause_s(40) < 20 * 60
