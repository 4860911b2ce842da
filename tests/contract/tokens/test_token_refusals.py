"""After a 401: a newer pair without a renewal, one renewal for all, or an error."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gong_provider.client.client import Access
from gong_provider.client.errors import GongCoordinationError, GongCredentialsError
from gong_provider.oauth import credentials as tokens_module
from gong_provider.oauth.credentials import RenewedCredentials
from gong_provider.oauth.token_store import TokenRows
from tests.support.token_service import TokenService
from tests.support.token_workers import Account


async def after_401(credentials: RenewedCredentials, refused: Access | None = None) -> Access:
    """Return the access after a 401 to this one, or to the current one."""
    assert await credentials.renew(refused or await credentials.current()) is not None
    return await credentials.current()


def test_sixteen_calls_refused_at_once_make_one_renewal(account: Account, tokens: TokenService) -> None:
    async def work() -> set[int]:
        credentials = account.credentials()
        access = await credentials.current()
        await credentials.accepted(access)
        got = await asyncio.gather(*(after_401(credentials, access) for _ in range(16)))
        return {one.generation for one in got}

    assert asyncio.run(work()) == {2}
    assert tokens.requests == 2


def test_after_a_401_a_newer_pair_is_used_without_a_renewal(account: Account, tokens: TokenService) -> None:
    async def work() -> tuple[Access, Access]:
        slow, quick = account.credentials(), account.credentials()
        await slow.current()
        renewed = await after_401(quick)
        return await after_401(slow), renewed

    mine, renewed = asyncio.run(work())
    assert mine == renewed
    assert tokens.requests == 2


def test_tokens_that_are_issued_and_refused_are_not_renewed_without_end(
    account: Account, tokens: TokenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "SHARED_STATE_DELAY_S", 0.2)

    async def refuse_all() -> None:
        credentials = account.credentials()
        while True:
            await after_401(credentials)

    for _ in range(2):  # the second worker gets the error at its first call
        with pytest.raises(GongCredentialsError) as caught:
            asyncio.run(refuse_all())
        assert caught.value.advice == tokens_module.CHECK_SCOPE
        assert tokens.requests == 2


def test_pairs_that_worked_for_a_while_may_be_refused_any_number_of_times(
    account: Account, tokens: TokenService
) -> None:
    async def work() -> None:
        worker, watcher = account.credentials(), account.credentials()
        for _ in range(4):
            for _ in range(2):
                await worker.accepted(await watcher.current())
            await watcher.accepted(await watcher.current())
            await after_401(watcher)

    asyncio.run(work())
    assert tokens.requests == 5
    assert account.row().refused_in_a_row == 0


def test_the_note_that_a_pair_worked_may_come_late(account: Account, tokens: TokenService) -> None:
    async def work() -> None:
        worker, watcher = account.credentials(), account.credentials()
        for _ in range(3):
            access = await worker.current()
            await after_401(watcher)
            await worker.accepted(access)
            await worker.renew(access)

    asyncio.run(work())
    assert tokens.requests == 4


def test_a_response_is_not_lost_when_its_token_cant_be_noted_as_accepted(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise GongCoordinationError("is away")

    monkeypatch.setattr(TokenRows, "accept", fail)

    async def work() -> None:
        credentials = account.credentials()
        await credentials.accepted(await credentials.current())

    asyncio.run(work())
    assert account.row().accepted_generation == -1
