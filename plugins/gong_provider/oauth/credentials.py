"""OAuth credentials shared by many workers: one renews the tokens, the others wait or use the old ones."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gong_provider.client.client import Access, HttpOptions
from gong_provider.client.errors import GongCoordinationError, GongTransientError
from gong_provider.db.database import Database
from gong_provider.oauth import token_errors
from gong_provider.oauth.token_endpoint import RefreshFailure, RefreshTokenState, TokenEndpoint, Tokens
from gong_provider.oauth.token_store import Cipher, Lease, TokenRow, TokenRows

log = logging.getLogger(__name__)

DEADLINE_S = 30.0
LEASE_MARGIN_S = 30.0
"""A lease outlives the call's own deadline by this much."""
RECHECK_S = 10.0
"""A token that could not be renewed, but is still valid, is used this long before the next try."""
MAX_REFUSED_IN_A_ROW = 2
MAX_RENEWALS = 2
"""Renewals that one call may cause: after these Gong refuses the request, not the token."""
SHARED_STATE_DELAY_S = 2.0
"""Seconds until another worker's note that Gong accepted or refused a token is stored."""

_POLLS_S = (0.1, 1.0)
_STORE_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class CachedToken:
    """The access that this process uses until ``until``, on its own clock."""

    access: Access = field(repr=False)
    until: float


class RenewedCredentials:
    """Tokens of one account, kept in the coordination database and renewed by one worker at a time.

    :param account: the row's key: one account has one row, whichever connection names it.
    :param refresh_token: from the connection: replaces the stored pair if it is new.
    :param base_url: of calls, until Gong names the customer's own.
    :param http_options: proxy and TLS options for the token endpoint.
    :param deadline_s: seconds for one request to the token endpoint.
    """

    def __init__(
        self,
        *,
        database: Database,
        cipher: Cipher,
        account: str,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        oauth_endpoint: str,
        base_url: str,
        http_options: HttpOptions,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._rows = TokenRows(database, cipher, account, refresh_token)
        self._endpoint = TokenEndpoint(oauth_endpoint, client_id, client_secret, http_options, deadline_s)
        self._base_url = base_url
        self._lease_s = deadline_s + LEASE_MARGIN_S
        self._cached: CachedToken | None = None
        self._refused = self._accepted = -1
        self._refreshing: asyncio.Task[CachedToken] | None = None

    async def current(self) -> Access:
        cached = self._cached
        if cached is None or cached.access.generation <= self._refused or time.monotonic() >= cached.until:
            cached = await self._refreshed()
        return cached.access

    async def renew(self, refused: Access, renewals: int = 0) -> int | None:
        """If the result is not None, the next ``current`` returns another access or raises.

        A call that has caused ``MAX_RENEWALS`` continues only if other calls find this token expired, too.
        """
        if refused.generation <= self._refused:
            return renewals  # another call got the 401 first
        if renewals < MAX_RENEWALS:
            self._refused = refused.generation
            return renewals + 1
        await asyncio.sleep(SHARED_STATE_DELAY_S)
        if (await self._rows.read()).generation > refused.generation:
            self._refused = max(self._refused, refused.generation)
        return renewals if refused.generation <= self._refused else None

    async def accepted(self, access: Access) -> None:
        if access.generation <= self._accepted:
            return
        before, self._accepted = self._accepted, access.generation
        try:
            await self._rows.accept(access.generation)
        except GongCoordinationError:
            self._accepted = before  # noted with the next response: this one must not be lost

    async def close(self) -> None:
        """Wait for a renewal under way: a pair that is not stored is lost."""
        if self._refreshing is not None:
            await asyncio.wait({self._refreshing})

    async def _refreshed(self) -> CachedToken:
        """Refresh once for all calls of this process; the refresh continues when a call is cancelled."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh_or_wait())
            self._refreshing.add_done_callback(_retrieve_error)
        return await asyncio.shield(self._refreshing)

    async def _refresh_or_wait(self) -> CachedToken:
        row = await self._rows.read()
        first, pause = row.generation, _POLLS_S[0]
        give_up_at = time.monotonic() + self._lease_s
        while True:
            if row.access_token and (row.generation > first or self._is_usable(row, row.fresh_s)):
                return self._cache(row, row.fresh_s)
            await self._check_refreshable(row)
            try:
                leased = await self._refresh(row)
            except GongTransientError:
                row = await self._rows.read()
                if not self._is_usable(row, row.valid_s):
                    raise
                return self._cache(row, min(row.valid_s, RECHECK_S))
            if not leased:
                if self._is_usable(row, row.valid_s):
                    return self._cache(row, min(row.valid_s, _POLLS_S[1]))
                if time.monotonic() > give_up_at:
                    raise token_errors.TokenEndpointDownError(
                        "tokens of this account were still being renewed by another worker after "
                        f"{self._lease_s:.0f} s",
                        calls=0,
                    )
                await asyncio.sleep(pause)
                pause = min(1.5 * pause, _POLLS_S[1])
            row = await self._rows.read()

    def _is_usable(self, row: TokenRow, seconds: float) -> bool:
        return row.access_token is not None and seconds > 0 and row.generation > self._refused

    def _cache(self, row: TokenRow, seconds: float) -> CachedToken:
        token = self._rows.plain(row.access_token or "")
        access = Access(f"Bearer {token}", row.base_url or self._base_url, row.generation)
        self._cached = CachedToken(access, time.monotonic() + seconds)
        return self._cached

    async def _check_refreshable(self, row: TokenRow) -> None:
        """:raises GongCredentialsError: a renewal would not help."""
        if row.is_dead:
            raise _dead(row)
        if self._refusals(row) >= MAX_REFUSED_IN_A_ROW:
            await asyncio.sleep(SHARED_STATE_DELAY_S)
            if self._refusals(await self._rows.read()) >= MAX_REFUSED_IN_A_ROW:
                raise token_errors.TokensRefusedError(
                    f"gives tokens and then refuses them: {MAX_REFUSED_IN_A_ROW} pairs in a row", calls=0
                )

    def _was_refused(self, row: TokenRow) -> bool:
        """Whether Gong refused it from the first call on, as far as this process knows, before it expired."""
        return row.valid_s > 0 and self._accepted < row.generation <= self._refused

    def _refusals(self, row: TokenRow) -> int:
        """How many pairs in a row Gong gave and never accepted."""
        if not self._was_refused(row):
            return row.refused_in_a_row
        return 0 if row.accepted_generation >= row.generation else row.refused_in_a_row + 1

    async def _refresh(self, row: TokenRow) -> bool:
        """Renew the tokens; False: another worker does. The stored row has the result.

        :raises GongError: there is no new pair, for another reason than the refresh token.
        """
        refresh_token = self._rows.plain(row.refresh_token)
        lease = await self._rows.lease(row.generation, self._lease_s)
        sent_at = await self._rows.sending(lease) if lease is not None else None
        if lease is None or sent_at is None:
            return False
        result = await self._endpoint.refresh(refresh_token)
        if isinstance(result, Tokens):
            await self._store(lease, result, sent_at, was_refused=self._was_refused(row))
            log.info(
                "Gong gave new tokens, generation %d, for %.0f s", lease.generation + 1, result.lifetime_s
            )
            return True
        await self._release(lease, sent_at, result)
        if result.token_state is not RefreshTokenState.DEAD:
            raise result.error
        return True

    async def _release(self, lease: Lease, sent_at: datetime, failure: RefreshFailure) -> None:
        log.warning("Gong's OAuth tokens were not renewed: %s", failure.error)
        state = failure.token_state
        asked_at = lease.asked_at or (sent_at if state is RefreshTokenState.UNKNOWN else None)
        try:
            await self._rows.release(lease, asked_at, is_dead=state is RefreshTokenState.DEAD)
        except GongCoordinationError as error:
            log.warning("The lease was not released and expires by itself: %s", error)

    async def _store(self, lease: Lease, tokens: Tokens, sent_at: datetime, *, was_refused: bool) -> None:
        """Store the new pair, with retries: the old one is no longer valid."""
        for pause in _STORE_PAUSES_S:
            try:
                return await self._rows.store(lease, tokens, sent_at, was_refused=was_refused)
            except GongCoordinationError as error:
                log.warning("New OAuth tokens are not stored yet: %s", error)
                await asyncio.sleep(pause)
        return await self._rows.store(lease, tokens, sent_at, was_refused=was_refused)


def _dead(row: TokenRow) -> token_errors.ConnectAgainError:
    what = "no longer accepts the stored refresh token (invalid_grant): it was used, revoked, or has expired"
    if row.asked_at is not None:
        what += (
            f". At {row.asked_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC a renewal was sent whose response "
            "never arrived, or whose worker was killed: Gong used the token up then"
        )
    return token_errors.ConnectAgainError(what, calls=0)


def _retrieve_error(task: asyncio.Task[CachedToken]) -> None:
    """Keep asyncio from logging an error that nothing awaits, as all calls were cancelled."""
    if not task.cancelled():
        task.exception()
