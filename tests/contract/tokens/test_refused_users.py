"""Tells a user whose history always gets 401 from credentials that expire during the batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gong_provider.client.client import Credentials, FixedCredentials, GongClient, HttpOptions
from gong_provider.client.errors import GongCredentialsError, GongUserRefusedError
from gong_provider.client.history_fetcher import IN_FLIGHT, history_groups
from gong_provider.client.models import HistoryFailure, HistoryOutcome, SettingsHistory
from gong_provider.oauth import credentials as tokens_module
from gong_provider.rate_limit.base import Limits
from gong_provider.rate_limit.in_process import InProcessRateLimiter
from tests.support import GongService
from tests.support.gong_faults import Faults
from tests.support.token_service import TokenService
from tests.support.token_workers import Account

Outcomes = list[HistoryOutcome]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "SHARED_STATE_DELAY_S", 0.5)


def load(
    credentials: Credentials, ids: list[str], *, lists_users: bool = False, each: Callable[[int], object] = id
) -> Outcomes:
    """Return all outcomes of a batch, as a task gets them.

    :param lists_users: list the account's users before, as a run does.
    :param each: called with the number of outcomes after each group.
    """

    async def work() -> Outcomes:
        client = GongClient(
            http_options=HttpOptions(),
            credentials=credentials,
            rate_limiter=InProcessRateLimiter(Limits(0, 0)),
        )
        outcomes: Outcomes = []
        try:
            if lists_users:
                await client.list_users()
            async for group in history_groups(client, ids, group_size=100, group_seconds=1):
                outcomes += group
                each(len(outcomes))
        finally:
            await client.close()
        return outcomes

    return asyncio.run(work())


def failed(outcomes: Outcomes) -> list[str]:
    """Return the ids of refused users; all others must have a history."""
    failures = [outcome for outcome in outcomes if isinstance(outcome, HistoryFailure)]
    assert {type(failure.error) for failure in failures} <= {GongUserRefusedError}
    assert sum(isinstance(outcome, SettingsHistory) for outcome in outcomes) == len(outcomes) - len(failures)
    return sorted(failure.user_id for failure in failures)


def service_of(number: int, tokens: TokenService, *refused: str) -> tuple[GongService, list[str]]:
    ids = [str(each) for each in range(number)]
    faults = Faults(bad_history=dict.fromkeys(refused, 401))
    return GongService([{"id": user_id} for user_id in ids], faults=faults, tokens=tokens), ids


@pytest.mark.parametrize("refused", ["0", "700", "1499"])
def test_one_refused_user_costs_a_renewal_a_page_of_users_and_no_other_user(
    account: Account, tokens: TokenService, refused: str
) -> None:
    gong, ids = service_of(1_500, tokens, refused)
    with gong:
        tokens.base_url = gong.base_url
        outcomes = load(account.credentials(), ids)
        assert (len(outcomes), failed(outcomes)) == (1_500, [refused])
        assert gong.histories_requested[refused] == 2
    assert tokens.requests == 2, "the first pair, and one renewal"


@pytest.mark.parametrize(
    "refused", [["3", "4", "50", "51", "290"], ["298", "299"], [str(number) for number in range(280, 292)]]
)
def test_each_of_several_refused_users_causes_a_renewal_at_most(
    account: Account, tokens: TokenService, refused: list[str]
) -> None:
    gong, ids = service_of(300, tokens, *refused)
    with gong:
        tokens.base_url = gong.base_url
        assert failed(load(account.credentials(), ids, lists_users=True)) == sorted(refused)
    assert tokens.requests <= 1 + len(refused)


def test_the_only_user_of_a_batch_is_distinguished_from_dead_credentials_by_one_more_call(
    account: Account, tokens: TokenService
) -> None:
    gong, ids = service_of(1, tokens, "0")
    with gong:
        tokens.base_url = gong.base_url
        for _ in range(2):  # as the next day's run
            gong.calls.clear()
            (failure,) = outcomes = load(account.credentials(), ids, lists_users=True)
            assert failed(outcomes) == ["0"]
            assert failure.calls == 3 == len(gong.calls) - 1, "two for the history, one for a page of users"
    assert account.row().refused_in_a_row == 0


@pytest.mark.parametrize("number", [5, 1_500])
def test_an_account_that_is_refused_altogether_ends_the_batch(
    account: Account, tokens: TokenService, number: int
) -> None:
    gong, ids = service_of(number, tokens)
    with gong:
        tokens.base_url = gong.base_url

        def refuse_all(_: int) -> None:
            tokens.valid_calls = 0
            tokens.revoke()

        refuse_all(0)
        with pytest.raises(GongCredentialsError) as caught:
            load(account.credentials(), ids)
        assert caught.value.advice == tokens_module.CHECK_SCOPE
        assert sum(gong.histories_requested.values()) == 0
        assert tokens.requests == 2


def test_credentials_that_expire_within_a_batch_end_it(account: Account, tokens: TokenService) -> None:
    gong, ids = service_of(1_500, tokens)
    with gong:
        tokens.base_url = gong.base_url

        def refuse_all(_: int) -> None:
            tokens.valid_calls = 0
            tokens.revoke()

        with pytest.raises(GongCredentialsError):
            load(account.credentials(), ids, each=refuse_all)
    assert tokens.requests <= 4


@pytest.mark.parametrize(
    ("number", "refused"),
    [(1, ["0"]), (300, ["299", "7"]), (300, [str(number) for number in range(250, 262)])],
)
def test_with_an_access_key_too_a_refused_user_is_a_failure_of_this_user(
    tokens: TokenService, number: int, refused: list[str]
) -> None:
    gong, ids = service_of(number, tokens, *refused)
    with gong:
        credentials = FixedCredentials(f"Bearer {gong.token}", f"{gong.base_url}/v2")
        assert failed(load(credentials, ids)) == sorted(refused)
        assert gong.histories_requested == dict.fromkeys(ids, 1)


@pytest.mark.parametrize("number", [1, 5, 300])
def test_a_wrong_access_key_ends_the_batch_after_few_calls(tokens: TokenService, number: int) -> None:
    gong, ids = service_of(number, tokens)
    with gong:
        with pytest.raises(GongCredentialsError):
            load(FixedCredentials("Bearer wrong", f"{gong.base_url}/v2"), ids)
        assert len(gong.calls) <= min(number + 1, 10 + IN_FLIGHT)
