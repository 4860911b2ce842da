"""OAuth tokens in many processes: one renewal for all, and none lost when a worker is killed."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from gong_provider.client.errors import GongCredentialsError
from gong_provider.oauth.token_endpoint import CONNECT_AGAIN
from tests.support import GongService
from tests.support.token_service import TokenService
from tests.support.token_workers import (
    PROCESSES,
    Account,
    die_before_sending,
    fetch_histories,
    renew,
    renew_expired_token,
    start,
)
from tests.support.wire_faults import hang


def wait_until(is_true: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < ends_at
        time.sleep(0.02)


@pytest.mark.parametrize("by_401", [True, False], ids=["by 401", "by the clock"])
def test_twenty_workers_that_find_the_token_expired_make_one_renewal(
    account: Account, tokens: TokenService, by_401: bool
) -> None:
    account.current()
    tokens.revoke()
    tokens.latency_s = 0.5
    if not by_401:
        account.change("renew_at = clock_timestamp(), expires_at = clock_timestamp()")
    barrier, generations = PROCESSES.Barrier(20), PROCESSES.Queue()
    workers = [start(renew_expired_token, account, barrier, generations, by_401) for _ in range(20)]
    assert [generations.get(timeout=30) for _ in workers] == [2] * 20
    for worker in workers:
        worker.join()
    assert (tokens.requests, tokens.issued, tokens.invalid_grants) == (2, 2, 0)


def test_a_worker_killed_before_its_request_leaves_the_old_pair(
    account: Account, tokens: TokenService
) -> None:
    worker = start(die_before_sending, account)
    worker.join()
    assert worker.exitcode == -9
    assert (account.row().generation, tokens.requests) == (0, 0)
    account.change("lease_until = clock_timestamp() + '1.5 s'")
    started = time.monotonic()
    assert account.current().generation == 1
    assert 1.4 < time.monotonic() - started < 20
    assert account.row().asked_at is None


def test_a_worker_killed_after_gong_used_the_token_up_is_explained(
    account: Account, tokens: TokenService
) -> None:
    tokens.fault = hang
    worker = start(renew, account)
    wait_until(lambda: tokens.issued == 1)
    worker.kill()
    worker.join()
    tokens.fault = None
    account.change("lease_until = clock_timestamp()")
    for _ in range(2):
        with pytest.raises(GongCredentialsError) as caught:
            account.current()
        assert caught.value.advice == CONNECT_AGAIN
    assert (tokens.requests, tokens.invalid_grants) == (2, 1)


def test_a_worker_killed_after_it_stored_leaves_the_new_pair(account: Account, tokens: TokenService) -> None:
    worker = start(renew, account)
    wait_until(lambda: tokens.issued == 1 and account.row().generation == 1)
    worker.kill()
    worker.join()
    assert (account.current().generation, tokens.requests) == (1, 1)


def test_a_thousand_users_by_eight_tasks_with_tokens_of_fifty_calls(
    account: Account, tokens: TokenService
) -> None:
    tokens.valid_calls = 50
    ids = [str(number) for number in range(1_000)]
    with GongService([{"id": user_id} for user_id in ids], tokens=tokens) as gong:
        tokens.base_url = gong.base_url
        found = PROCESSES.Queue()
        workers = [start(fetch_histories, account, ids[first::8], found) for first in range(8)]
        fetched = [user_id for _ in workers for user_id in found.get(timeout=60)]
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0] * 8
        assert sorted(fetched) == sorted(ids)
        assert set(gong.histories_requested.values()) == {1}
    assert tokens.invalid_grants == 0
    assert tokens.issued == tokens.requests >= 20
