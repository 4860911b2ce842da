"""OAuth tokens of one worker: stored, renewed in time, shared, replaced by a newly configured one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from gong_provider.client.client import GongClient, HttpOptions
from gong_provider.client.errors import GongCoordinationError, GongCredentialsError, GongUnavailableError
from gong_provider.db.engine import engine_for
from gong_provider.oauth import credentials as tokens_module
from gong_provider.oauth.token_endpoint import CONNECT_AGAIN, Tokens
from gong_provider.oauth.token_store import TokenRows
from gong_provider.rate_limit.base import Limits
from gong_provider.rate_limit.in_process import InProcessRateLimiter
from tests.support import GongService
from tests.support.token_service import TokenService
from tests.support.token_workers import Account
from tests.support.wire_faults import instead, reset_before


def another(account: Account, **fields: str) -> Account:
    """Return the same account with other settings of its connection."""
    return Account(**{**vars(account), **fields})


def test_the_first_worker_renews_and_all_others_use_the_stored_tokens(
    account: Account, tokens: TokenService
) -> None:
    tokens.base_url = "http://us-1.gong.test"
    first = account.current()
    assert first == ("Bearer acc3ss-2", "http://us-1.gong.test/v2", 1)
    assert [account.current() for _ in range(3)] == [first] * 3
    assert tokens.requests == 1


def test_nothing_is_stored_as_plain_text(account: Account, tokens: TokenService) -> None:
    account.current()
    with engine_for(account.database_url).connect() as connection:
        stored = connection.execute(text("SELECT oauth_tokens::text FROM gong.oauth_tokens")).scalar_one()
    assert "acc3ss" not in stored
    assert "r3fresh" not in stored
    assert TokenService.client_secret not in stored


@pytest.mark.parametrize(("valid_s", "soon_s"), [(86_400, 300), (100, 10)])
def test_a_token_is_renewed_before_it_expires_counted_from_its_request(
    account: Account, tokens: TokenService, valid_s: float, soon_s: float
) -> None:
    tokens.valid_s, tokens.latency_s = valid_s, 0.5
    account.current()
    row = account.row()
    assert (row.expires_at - row.renew_at).total_seconds() == pytest.approx(soon_s)
    assert 0.4 < valid_s - (row.expires_at - row.renewed_at).total_seconds() < 2
    account.change("renew_at = clock_timestamp()")
    assert account.current().generation == 2


def test_a_process_reads_the_database_again_when_its_token_expires(
    account: Account, tokens: TokenService
) -> None:
    tokens.valid_s = 1

    async def work() -> list[int]:
        credentials = account.credentials()
        first = await credentials.current()
        await asyncio.sleep(1)
        return [first.generation, (await credentials.current()).generation]

    assert asyncio.run(work()) == [1, 2]


@pytest.mark.parametrize("says", [None, "soon", 0, -5, float("nan"), 1e300])
def test_an_invalid_lifetime_loses_no_tokens(account: Account, tokens: TokenService, says: Any) -> None:
    tokens.reported_s = says
    assert [account.current().generation for _ in range(2)] == [1, 1]
    row = account.row()
    assert (row.expires_at - row.renewed_at).total_seconds() > 3500


def test_a_token_that_cant_be_renewed_yet_is_used_while_it_is_valid(
    account: Account, tokens: TokenService
) -> None:
    account.current()
    account.change("renew_at = clock_timestamp()")
    tokens.fault, tokens.uses_token = instead(503), False
    assert account.current().generation == 1
    account.change("expires_at = clock_timestamp()")
    with pytest.raises(GongUnavailableError, match="503"):
        account.current()
    tokens.fault = None
    assert account.current().generation == 2


def test_while_another_worker_renews_a_valid_token_is_used_and_an_expired_one_waited_for(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "LEASE_MARGIN_S", 1)
    account.current()
    account.change(
        "renew_at = clock_timestamp(), lease_holder = 'x', lease_until = clock_timestamp() + '1 hour'"
    )
    assert account.current().generation == 1
    account.change("expires_at = clock_timestamp()")
    with pytest.raises(GongUnavailableError):
        account.current(deadline_s=1)


def test_a_renewal_outlives_the_call_that_began_it(account: Account, tokens: TokenService) -> None:
    tokens.latency_s = 0.5

    async def work() -> None:
        credentials = account.credentials()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(credentials.current(), 0.3)
        await credentials.close()

    asyncio.run(work())
    assert (account.current().generation, tokens.requests) == (1, 1)


def test_calls_that_waited_for_a_renewal_keep_the_rate_after_it(
    account: Account, tokens: TokenService
) -> None:
    ids = [str(number) for number in range(20)]
    with GongService([{"id": user_id} for user_id in ids], tokens=tokens, calls_per_second=10) as gong:
        tokens.base_url = gong.base_url

        async def work() -> None:
            credentials, limiter = account.credentials(), InProcessRateLimiter(Limits(10, 0))
            client = GongClient(http_options=HttpOptions(), credentials=credentials, rate_limiter=limiter)
            await credentials.current()
            tokens.latency_s = 1
            asyncio.get_running_loop().call_later(0.5, tokens.revoke)
            await asyncio.gather(*map(client.get_user_settings_history, ids))
            await client.close()

        asyncio.run(work())
    assert (gong.responses_429, tokens.issued) == (0, 2)


def test_calls_that_wait_for_a_renewal_wait_together_also_if_it_fails(
    account: Account, tokens: TokenService
) -> None:
    tokens.fault, tokens.uses_token, tokens.latency_s = instead(500), False, 0.5

    async def work() -> list[object]:
        client = GongClient(
            http_options=HttpOptions(),
            credentials=account.credentials(),
            rate_limiter=InProcessRateLimiter(Limits(3, 0)),
            attempts=1,
        )
        calls = map(client.get_user_settings_history, "0123456789")
        results: list[object] = list(await asyncio.gather(*calls, return_exceptions=True))
        await client.close()
        return results

    assert {type(error) for error in asyncio.run(work())} == {GongUnavailableError}
    assert tokens.requests == 1


def test_a_newly_configured_refresh_token_replaces_the_pair_once_and_an_old_one_does_not(
    account: Account, tokens: TokenService
) -> None:
    account.current()
    account.change("asked_at = now(), lease_until = now() + '1 hour', refused_in_a_row = 1")
    configured = another(account, refresh_token=tokens.new_consent_token())
    assert configured.current().generation == 3
    assert account.current() == configured.current()
    assert len(account.row().seeds) == 2
    assert (account.row().refused_in_a_row, tokens.invalid_grants) == (0, 0)


def test_with_another_fernet_key_a_new_consent_is_needed(account: Account, tokens: TokenService) -> None:
    account.current()
    rotated = another(account, key=Fernet.generate_key().decode())
    with pytest.raises(GongCredentialsError) as caught:
        rotated.current()
    assert caught.value.advice == CONNECT_AGAIN
    assert tokens.requests == 1
    assert another(rotated, refresh_token=tokens.new_consent_token()).current().generation == 3


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://us-1.gong.test", "http://us-1.gong.test/v2"),
        ("https://us-1.gong.test/v2/", "https://us-1.gong.test/v2"),
        ("https://us-1.gong.test:8443/x/v2//v2", "https://us-1.gong.test:8443/x/v2"),
        ("us-1.gong.test", "http://127.0.0.1:9/v2"),
        ("ftp://us-1.gong.test", "http://127.0.0.1:9/v2"),
        ("https://us-1.gong.test\x00", "http://127.0.0.1:9/v2"),
        ("https://a:b@us-1.gong.test", "http://127.0.0.1:9/v2"),
    ],
)
def test_the_customers_base_url_is_used_if_it_is_valid(
    account: Account, tokens: TokenService, given: str, used: str
) -> None:
    tokens.base_url = given
    assert account.current().base_url == used


def test_a_new_pair_is_stored_before_it_is_used_with_retries(
    account: Account, tokens: TokenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Callable[..., Awaitable[None]] = TokenRows.store
    tries: list[Tokens] = []

    async def fail_twice(self: TokenRows, lease: Any, pair: Tokens, *rest: Any, **options: Any) -> None:
        tries.append(pair)
        if len(tries) < 3:
            raise GongCoordinationError("is away")
        await store(self, lease, pair, *rest, **options)

    monkeypatch.setattr(TokenRows, "store", fail_twice)
    assert account.current().generation == 1
    assert len(tries) == 3
    assert "acc3ss" not in repr(tries)


def test_a_deleted_row_is_created_again(account: Account, tokens: TokenService) -> None:
    account.current()
    with engine_for(account.database_url).begin() as connection:
        connection.execute(text("DELETE FROM gong.oauth_tokens"))
    tokens.fault = reset_before
    with pytest.raises(GongUnavailableError):
        account.current()
