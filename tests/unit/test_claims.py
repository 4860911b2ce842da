"""Ids are claimed in batches that fit the pace; users claimed by another task are tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest

from gong_provider.client import claims
from gong_provider.client.claims import ClaimQueue, ClaimResult
from gong_provider.client.endpoints import get_user
from gong_provider.client.slots import CallSkipped, SlotWaiter
from gong_provider.rate_limit.in_process import InProcessRateLimiter
from gong_provider.rate_limit.limits import Limits

IDS = [str(number) for number in range(1000)]


async def handed_out(queue: ClaimQueue, pause_s: float = 0) -> list[str]:
    ids = []
    while (user_id := await queue.next()) is not None:
        ids.append(user_id)
        await asyncio.sleep(pause_s)
    return ids


def test_without_a_claim_all_are_handed_out_in_order() -> None:
    assert asyncio.run(handed_out(ClaimQueue(IDS, None))) == IDS


def test_batches_are_large_where_calls_are_fast_and_single_where_they_are_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []

    def claim_all(ids: Sequence[str]) -> ClaimResult:
        sizes.append(len(ids))
        return ClaimResult(ids, ())

    assert asyncio.run(handed_out(ClaimQueue(IDS, claim_all))) == IDS
    assert max(sizes) == claims.MAX_BATCH
    sizes.clear()
    monkeypatch.setattr(claims, "FRESH_S", 0.01)
    assert asyncio.run(handed_out(ClaimQueue(IDS[:10], claim_all), pause_s=0.02)) == IDS[:10]
    assert max(sizes) == 1


def test_a_batch_is_handed_out_while_it_is_fresh_and_claimed_again_at_once_when_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "FRESH_S", 0.2)
    batches: list[list[str]] = []

    def claim_all(ids: Sequence[str]) -> ClaimResult:
        batches.append(list(ids))
        return ClaimResult(ids, ())

    async def at_two_paces() -> list[str]:
        queue = ClaimQueue(IDS, claim_all)
        ids = []
        while (user_id := await queue.next()) is not None:
            ids.append(user_id)
            assert await queue.is_still_claimed(user_id)
            await asyncio.sleep(0.25 if len(ids) == 100 else 0)  # one stall among fast calls
        return ids

    assert asyncio.run(at_two_paces()) == IDS
    again = sum(map(len, batches)) - len(IDS)
    assert 0 < again <= claims.MAX_BATCH
    assert len(batches) < 20


def test_contended_users_are_tried_again_until_they_are_claimed_or_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "CONTENDED_RETRY_S", 0.01)
    rounds = {"1": 2, "2": 3}

    def contended_at_first(ids: Sequence[str]) -> ClaimResult:
        contended = [user_id for user_id in ids if rounds.get(user_id, 0)]
        for user_id in contended:
            rounds[user_id] -= 1
        return ClaimResult([i for i in ids if i not in contended and i != "2"], contended)

    assert asyncio.run(handed_out(ClaimQueue(["0", "1", "2", "3"], contended_at_first))) == ["0", "3", "1"]


def test_a_claim_is_checked_again_when_it_is_no_longer_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "FRESH_S", 0.01)
    fetched: set[str] = set()

    async def two() -> list[bool]:
        queue = ClaimQueue(["0", "1"], lambda ids: ClaimResult([i for i in ids if i not in fetched], ()))
        first, second = await queue.next(), await queue.next()
        assert first is not None
        assert second is not None
        fresh = await queue.is_still_claimed(second)
        fetched.add(second)
        await asyncio.sleep(0.02)
        return [fresh, await queue.is_still_claimed(first), await queue.is_still_claimed(second)]

    assert asyncio.run(two()) == [True, True, False]


def test_a_user_fetched_by_another_task_before_the_slot_comes_is_skipped_without_waiting() -> None:
    fetched: set[str] = set()

    async def call_after_another() -> None:
        waiter = SlotWaiter(InProcessRateLimiter(Limits(1, 0)), lambda: asyncio.sleep(0))
        queue = ClaimQueue(["0"], lambda ids: ClaimResult([i for i in ids if i not in fetched], ()))
        await waiter.acquire(get_user("another"), None)
        user_id = await queue.next()
        assert user_id is not None
        call = asyncio.create_task(
            waiter.acquire(get_user(user_id), partial(queue.is_still_claimed, user_id))
        )
        await asyncio.sleep(0.1)
        fetched.add(user_id)
        with pytest.raises(CallSkipped):
            await asyncio.wait_for(call, 20)

    asyncio.run(call_after_another())


def test_nothing_is_handed_out_after_a_stop() -> None:
    async def stopped() -> tuple[str | None, bool]:
        queue = ClaimQueue(IDS, lambda ids: ClaimResult((), ids))
        queue.is_stopped = True
        return await queue.next(), await queue.is_still_claimed("1")

    assert asyncio.run(stopped()) == (None, False)
