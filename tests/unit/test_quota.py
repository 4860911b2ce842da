"""The budget of one process: spaced calls, a day's limit, pauses."""

from __future__ import annotations

import pytest

from gong_provider.api.errors import GongRateLimitError
from gong_provider.coordination.quota import ProcessQuota, process_quota


def test_calls_are_spaced_by_the_rate() -> None:
    quota = ProcessQuota(10, 0)
    waits = [quota.reserve() for _ in range(5)]
    assert waits == sorted(waits)
    assert waits[4] == pytest.approx(0.4, abs=0.05)


def test_without_limits_nobody_waits() -> None:
    quota = ProcessQuota(0, 0)
    assert max(quota.reserve() for _ in range(1000)) == 0


def test_the_day_ends_with_an_error_that_says_until_when() -> None:
    quota = ProcessQuota(0, 2)
    quota.reserve()
    quota.reserve()
    with pytest.raises(GongRateLimitError) as caught:
        quota.reserve()
    assert caught.value.retry_after_s == pytest.approx(86_400, abs=5)
    assert caught.value.calls == 0


def test_a_pause_holds_for_all_and_the_longest_counts() -> None:
    quota = ProcessQuota(0, 0)
    quota.pause(30)
    quota.pause(10)
    assert quota.reserve() == pytest.approx(30, abs=1)


def test_one_account_has_one_quota() -> None:
    assert process_quota("a", 3, 10) is process_quota("a", 3, 10)
    assert process_quota("a", 3, 10) is not process_quota("b", 3, 10)
