"""Workers that share an account's tokens: credentials as in a task, and processes that use them."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from typing import Any
from unittest import mock

from cryptography.fernet import Fernet
from sqlalchemy import Row, text

from gong_provider.client.client import Access, GongClient, HttpOptions
from gong_provider.client.history_fetcher import history_groups
from gong_provider.client.models import SettingsHistory
from gong_provider.db.engine import Database, engine_for
from gong_provider.oauth.credentials import RenewedCredentials
from gong_provider.oauth.token_endpoint import OAuthSettings, TokenEndpoint, Tokens
from gong_provider.rate_limit.base import Limits
from gong_provider.rate_limit.in_process import InProcessRateLimiter
from tests.support.token_service import TokenService

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])

_opened: list[Database] = []


@dataclass(frozen=True)
class Account:
    """An OAuth connection and its coordination database; can be sent to other processes."""

    database_url: str
    oauth_endpoint: str
    refresh_token: str
    base_url: str = "http://127.0.0.1:9/v2"
    key: str = Fernet.generate_key().decode()
    client_secret: str = TokenService.client_secret

    def credentials(self, deadline_s: float = 30) -> RenewedCredentials:
        _opened.append(Database(engine_for(self.database_url)))
        return RenewedCredentials(
            _opened[-1],
            Fernet(self.key),
            "acme",
            OAuthSettings(
                TokenService.client_id, self.client_secret, self.refresh_token, self.oauth_endpoint
            ),
            self.base_url,
            HttpOptions(),
            deadline_s,
        )

    def current(self, **options: Any) -> Access:
        """Return the access of a worker that starts now."""
        return asyncio.run(self.credentials(**options).current())

    def row(self) -> Row[Any]:
        """Return the stored row."""
        with engine_for(self.database_url).connect() as connection:
            return connection.execute(text("SELECT * FROM gong.oauth_tokens")).one()

    def change(self, assignments: str) -> None:
        """Set columns of the row."""
        with engine_for(self.database_url).begin() as connection:
            connection.execute(text(f"UPDATE gong.oauth_tokens SET {assignments}"))


def close_databases() -> None:
    """Close the database connections of this process's credentials."""
    while _opened:
        _opened.pop().close()


def start(work: Callable[..., None], *arguments: object) -> BaseProcess:
    """Start a process that runs this function."""
    process = PROCESSES.Process(target=work, args=arguments)
    process.start()
    return process


def renew_expired_token(account: Account, barrier: Barrier, generations: Any, by_401: bool) -> None:
    """Run one of many workers that notice at the same time that their token has expired."""

    async def work() -> None:
        credentials = account.credentials()
        if by_401:
            access = await credentials.current()
            await asyncio.to_thread(barrier.wait)
            await credentials.renew(access)
        else:
            await asyncio.to_thread(barrier.wait)
        generations.put((await credentials.current()).generation)

    asyncio.run(work())


def renew(account: Account) -> None:
    """Renew the tokens."""
    account.current()


def die_before_sending(account: Account) -> None:
    """Run a worker that is killed just before its request."""

    async def die(_: TokenEndpoint, refresh_token: str) -> Tokens:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with mock.patch.object(TokenEndpoint, "refresh", die):
        account.current()


def fetch_histories(account: Account, user_ids: list[str], found: Any) -> None:
    """Fetch histories as a mapped task does."""

    async def work() -> list[str]:
        client = GongClient(
            http_options=HttpOptions(),
            credentials=account.credentials(),
            rate_limiter=InProcessRateLimiter(Limits(0, 0)),
        )
        groups = history_groups(client, user_ids, group_size=100, group_seconds=1)
        outcomes = [outcome async for group in groups for outcome in group]
        await client.close()
        assert all(isinstance(outcome, SettingsHistory) for outcome in outcomes), outcomes
        return [outcome.user_id for outcome in outcomes]

    found.put(asyncio.run(work()))
