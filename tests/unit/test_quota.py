"""The budget of one process: places in a queue, strict grants, a day's limit, pauses."""

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


def test_calls_are_spaced_by_the_rate() -> None:
    clock = Clock()
    moments = places(ProcessQuota(Limits(10, 0), clock), clock, [0.0] * 21)
    assert 2 < moments[-1] - moments[0] <= 1.03 * 2
    assert 0.1 < moments[1] - moments[0] <= 1.03 * 0.1


@given(st.sampled_from([0.4, 1, 2.5, 3, 20]), st.lists(st.sampled_from([0.0, 0.01, 0.3, 0.9]), max_size=80))
def test_no_second_holds_more_than_the_limit_however_callers_stall(rate: float, stalls: list[float]) -> None:
    clock = Clock()
    moments = places(ProcessQuota(Limits(rate, 0), clock), clock, stalls)
    assert all(later - earlier >= 1 / rate for earlier, later in pairwise(moments))


def test_without_limits_nobody_waits() -> None:
    quota = ProcessQuota(Limits(0, 0))
    assert max(take(quota) for _ in range(1000)) == 0


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


def test_a_place_that_is_given_back_is_not_counted() -> None:
    quota = ProcessQuota(Limits(0, 1), Clock())
    for _ in range(3):
        place = asyncio.run(quota.take("get_user"))
        assert place.wait_s == 0
        asyncio.run(quota.give_back("get_user", place))


def test_a_place_does_not_hold_when_a_pause_began() -> None:
    quota = ProcessQuota(Limits(1, 0), Clock())
    places = [asyncio.run(quota.take("get_user")) for _ in range(3)]
    asyncio.run(quota.pause(1.5))
    assert [asyncio.run(quota.holds(place)) for place in places] == [False, False, True]


def test_a_pause_holds_for_all_and_the_longest_counts() -> None:
    quota = ProcessQuota(Limits(0, 0))
    asyncio.run(quota.pause(30))
    assert asyncio.run(quota.pause(10)) == pytest.approx(30, abs=1)
    assert take(quota) == pytest.approx(30, abs=1)


def test_pauses_that_gong_does_not_time_grow_but_not_by_calls_in_flight() -> None:
    clock = Clock()
    quota = ProcessQuota(Limits(0, 0), clock)
    pauses = []
    for _ in range(6):
        pauses.append(asyncio.run(quota.pause(None)))
        assert asyncio.run(quota.pause(None)) == pauses[-1]
        clock.now += pauses[-1]
    assert all(1.1 < later / earlier < 3.4 for earlier, later in pairwise(pauses))
    assert guessed_pause_s(40) < 20 * 60


def test_one_account_has_one_quota() -> None:
    assert process_quota("a", Limits(3, 10)) is process_quota("a", Limits(3, 10))
    assert process_quota("a", Limits(3, 10)) is not process_quota("b", Limits(3, 10))
