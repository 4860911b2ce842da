"""Ids are claimed in portions that fit the pace; whom another task asks for is offered again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest

from gong_provider.client import claims
from gong_provider.client.claims import Claimed, Claims
from gong_provider.client.endpoints import get_user
from gong_provider.client.slots import NotWantedError, Turns
from gong_provider.rate_limit.in_process import ProcessQuota
from gong_provider.rate_limit.limits import Limits

IDS = [str(number) for number in range(1000)]


async def handed_out(work: Claims, pause_s: float = 0) -> list[str]:
    ids = []
    while (user_id := await work.next()) is not None:
        ids.append(user_id)
        await asyncio.sleep(pause_s)
    return ids


def test_without_a_claim_all_are_handed_out_in_order() -> None:
    assert asyncio.run(handed_out(Claims(IDS, None))) == IDS


def test_portions_are_large_where_calls_are_fast_and_single_where_they_are_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def all_ours(ids: Sequence[str]) -> Claimed:
        asked.append(len(ids))
        return Claimed(ids, ())

    assert asyncio.run(handed_out(Claims(IDS, all_ours))) == IDS
    assert max(asked) == claims.LARGEST_PORTION
    asked.clear()
    monkeypatch.setattr(claims, "FRESH_S", 0.01)
    assert asyncio.run(handed_out(Claims(IDS[:10], all_ours), pause_s=0.02)) == IDS[:10]
    assert max(asked) == 1


def test_a_portion_is_asked_for_while_it_is_fresh_and_is_claimed_anew_as_one_where_it_was_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "FRESH_S", 0.2)
    portions: list[list[str]] = []

    def all_ours(ids: Sequence[str]) -> Claimed:
        portions.append(list(ids))
        return Claimed(ids, ())

    async def at_two_paces() -> list[str]:
        work = Claims(IDS, all_ours)
        ids = []
        while (user_id := await work.next()) is not None:
            ids.append(user_id)
            assert await work.still_ours(user_id)
            await asyncio.sleep(0.25 if len(ids) == 100 else 0)  # one stall among fast calls
        return ids

    assert asyncio.run(at_two_paces()) == IDS
    again = sum(map(len, portions)) - len(IDS)
    assert 0 < again <= claims.LARGEST_PORTION
    assert len(portions) < 20


def test_who_is_busy_is_offered_again_until_he_is_ours_or_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BUSY_S", 0.01)
    rounds = {"1": 2, "2": 3}

    def busy_for_a_while(ids: Sequence[str]) -> Claimed:
        busy = [user_id for user_id in ids if rounds.get(user_id, 0)]
        for user_id in busy:
            rounds[user_id] -= 1
        return Claimed([i for i in ids if i not in busy and i != "2"], busy)

    assert asyncio.run(handed_out(Claims(["0", "1", "2", "3"], busy_for_a_while))) == ["0", "3", "1"]


def test_what_waited_long_is_asked_about_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "FRESH_S", 0.01)
    fetched: set[str] = set()

    async def two() -> list[bool]:
        work = Claims(["0", "1"], lambda ids: Claimed([i for i in ids if i not in fetched], ()))
        first, second = await work.next(), await work.next()
        assert first is not None
        assert second is not None
        fresh = await work.still_ours(second)
        fetched.add(second)
        await asyncio.sleep(0.02)
        return [fresh, await work.still_ours(first), await work.still_ours(second)]

    assert asyncio.run(two()) == [True, True, False]


def test_whom_another_task_fetched_while_his_turn_came_is_not_asked_for_and_not_waited_for() -> None:
    fetched: set[str] = set()

    async def call_after_another() -> None:
        turns = Turns(ProcessQuota(Limits(1, 0)), lambda: asyncio.sleep(0))
        work = Claims(["0"], lambda ids: Claimed([i for i in ids if i not in fetched], ()))
        await turns.take(get_user("another"), None)
        user_id = await work.next()
        assert user_id is not None
        turn = asyncio.create_task(turns.take(get_user(user_id), partial(work.still_ours, user_id)))
        await asyncio.sleep(0.1)
        fetched.add(user_id)
        with pytest.raises(NotWantedError):
            await asyncio.wait_for(turn, 20)

    asyncio.run(call_after_another())


def test_nothing_is_handed_out_once_the_batch_has_ended() -> None:
    async def stopped() -> tuple[str | None, bool]:
        work = Claims(IDS, lambda ids: Claimed((), ids))
        work.is_stopped = True
        return await work.next(), await work.still_ours("1")

    assert asyncio.run(stopped()) == (None, False)
