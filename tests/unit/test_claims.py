"""Users are claimed when a slot begins; users claimed by another task are tried again without a slot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from gong_provider.client import history_fetcher
from gong_provider.client.history_fetcher import MAX_CLAIMED, ClaimQueue, claimed_at_once
from gong_provider.client.models import Claim, ClaimResult

IDS = [str(number) for number in range(1000)]


class Slots:
    """The slots that workers took, and whether they found a user."""

    def __init__(self) -> None:
        self.used = self.wasted = 0


async def work(queue: ClaimQueue, slots: Slots, slot_s: float = 0.0) -> list[str]:
    """Take users one after the other, as a worker does: reserve, wait for a slot, take."""
    ids = []
    while await queue.wait():
        if queue.reserve():
            await asyncio.sleep(slot_s)
            user_id = await queue.take()
            slots.used += user_id is not None
            slots.wasted += user_id is None
            if user_id is not None:
                ids.append(user_id)
                queue.remove([user_id])
    return ids


def taken(
    ids: Sequence[str], claim: Claim | None, batch: int = 1, workers: int = 1
) -> tuple[list[str], Slots]:
    """Return the ids that workers of one task got, and their slots."""
    slots = Slots()

    async def all_workers() -> list[str]:
        queue = ClaimQueue(ids, claim, batch)
        found = await asyncio.gather(*(work(queue, slots, 0.001) for _ in range(workers)))
        return [user_id for each in found for user_id in each]

    return asyncio.run(all_workers()), slots


def claim_all(ids: Sequence[str], limit: int) -> ClaimResult:
    return ClaimResult(ids[:limit], free=ids[limit:])


def test_without_a_claim_all_are_taken_in_order() -> None:
    assert taken(IDS, None)[0] == IDS


@pytest.mark.parametrize("batch", [1, 7, MAX_CLAIMED])
def test_users_are_claimed_in_order_and_no_more_than_the_batch_at_once(batch: int) -> None:
    sizes: list[int] = []

    def claim(ids: Sequence[str], limit: int) -> ClaimResult:
        result = claim_all(ids, limit)
        sizes.append(len(result.claimed))
        return result

    assert taken(IDS, claim, batch)[0] == IDS
    assert len(sizes) == -(-len(IDS) // batch)
    assert max(sizes) == batch


@pytest.mark.parametrize(("rate", "batch"), [(0, MAX_CLAIMED), (1, 1), (3, 1), (60, 12), (1e6, 256)])
def test_a_batch_is_as_large_as_calls_are_fast(rate: float, batch: int) -> None:
    assert claimed_at_once(rate) == batch


def test_one_claim_passes_over_users_that_others_fetched_or_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_fetcher, "CONTENDED_RETRY_S", 0.01)
    claims = 0

    def every_fourth(ids: Sequence[str], limit: int) -> ClaimResult:
        """Of four users, two were fetched by another task, and one is being fetched."""
        nonlocal claims
        claims += 1
        free = [user_id for user_id in ids if int(user_id) % 4 == 0]
        contended = [user_id for user_id in ids if int(user_id) % 4 == 1 and claims < 250]
        return ClaimResult(free[:limit], contended, free[limit:])

    assert taken(IDS, every_fourth)[0] == IDS[::4]
    assert claims <= 260


def test_the_tail_of_a_batch_takes_no_slot_more_than_it_has_users() -> None:
    ids, slots = taken(IDS[:40], claim_all, workers=16)
    assert sorted(ids) == sorted(IDS[:40])
    assert (slots.used, slots.wasted) == (40, 0)


@pytest.mark.parametrize("number", [1, 40, 700])
def test_while_all_are_contended_no_slot_is_taken(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_fetcher, "CONTENDED_RETRY_S", 0.01)
    claims = 0

    def blocked(ids: Sequence[str], limit: int) -> ClaimResult:
        nonlocal claims
        claims += 1
        return ClaimResult((), ids) if 5 < claims <= 25 else claim_all(ids, limit)

    ids, slots = taken(IDS[:number], blocked, workers=16)
    assert sorted(ids) == sorted(IDS[:number])
    assert slots.wasted <= 16, "workers that had reserved one when the claims were blocked"


def test_contended_users_are_tried_again_until_they_are_claimed_or_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_fetcher, "CONTENDED_RETRY_S", 0.01)
    rounds = {"1": 2, "2": 3}

    def contended_at_first(ids: Sequence[str], limit: int) -> ClaimResult:
        contended = [user_id for user_id in ids if rounds.get(user_id, 0)]
        for user_id in contended:
            rounds[user_id] -= 1
        free = [user_id for user_id in ids if user_id not in contended and user_id != "2"]
        return ClaimResult(free[:limit], contended, free[limit:])

    assert taken(["0", "1", "2", "3"], contended_at_first)[0] == ["0", "3", "1"]


def test_a_claim_function_that_ignores_the_limit_or_claims_nothing_costs_no_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_fetcher, "CONTENDED_RETRY_S", 0.01)
    assert taken(IDS, lambda ids, _: ClaimResult(ids))[0] == IDS
    results: list[Callable[..., ClaimResult]] = [lambda ids, _: ClaimResult((), free=ids)] * 3

    def lazy(ids: Sequence[str], limit: int) -> ClaimResult:
        return (results.pop() if results else claim_all)(ids, limit)

    assert taken(IDS, lazy)[0] == IDS


def test_old_claims_are_renewed_before_their_users_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_fetcher, "RENEW_S", 0.05)
    fetched: set[str] = set()
    asked: list[list[str]] = []

    def claim(ids: Sequence[str], limit: int) -> ClaimResult:
        asked.append(list(ids))
        free = [user_id for user_id in ids if user_id not in fetched]
        return ClaimResult(free[:limit], free=free[limit:])

    async def take_slowly() -> list[str | None]:
        queue = ClaimQueue(["0", "1", "2", "3"], claim, 4)
        assert await queue.wait()
        users = []
        for pause_s in (0, 0, 0.1):
            await asyncio.sleep(pause_s)
            assert queue.reserve()
            users.append(await queue.take())
            fetched.add("2")  # by another run, as this one was suspended for longer than its lease
        assert await queue.keep("1")
        fetched.add("1")
        await asyncio.sleep(0.1)
        assert not await queue.keep("1")
        return users

    assert asyncio.run(take_slowly()) == ["0", "1", "3"]
    assert asked == [["0", "1", "2", "3"], ["0", "1", "2", "3"], ["0", "1", "3"]]


def test_nothing_is_taken_after_a_stop() -> None:
    async def stopped() -> bool:
        queue = ClaimQueue(IDS, lambda ids, _: ClaimResult((), ids), 1)
        queue.is_stopped = True
        return await queue.wait()

    assert not asyncio.run(stopped())
