"""OAuth credentials shared by many workers: one renews the tokens, the others wait or use the old ones."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime

from gong_provider.client.client import Access, Credentials, HttpOptions
from gong_provider.client.errors import (
    GongCoordinationError,
    GongCredentialsError,
    GongTransientError,
    GongUnavailableError,
)
from gong_provider.db.engine import Database
from gong_provider.oauth.token_endpoint import (
    CHECK_ENDPOINT,
    CONNECT_AGAIN,
    INVALID_GRANT,
    OAuthSettings,
    RefreshTokenState,
    TokenEndpoint,
    Tokens,
)
from gong_provider.oauth.token_store import Cipher, TokenRow, TokenRows

log: logging.Logger = logging.getLogger(__name__)

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

CHECK_SCOPE = (
    "Check that the app has the scope api:users:read in Gong, and that the base URL is the one of the "
    "company that gave its consent; after a change of scopes, connect again"
)
_POLL_S = 0.5
_STORE_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class RenewedCredentials(Credentials):
    """Tokens of one account, kept in the coordination database and renewed by one worker at a time.

    :param account: the row's key: one account has one row, whichever connection names it.
    :param oauth: its refresh token replaces the stored pair if it is new.
    :param base_url: of calls, until Gong names the customer's own.
    :param http_options: proxy and TLS options for the token endpoint.
    :param deadline_s: seconds for one request to the token endpoint.
    """

    def __init__(
        self,
        database: Database,
        cipher: Cipher,
        account: str,
        oauth: OAuthSettings,
        base_url: str,
        http_options: HttpOptions,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._rows = TokenRows(database, cipher, account, oauth.refresh_token)
        self._endpoint = TokenEndpoint(oauth, http_options, deadline_s)
        self._base_url = base_url
        self._lease_s = deadline_s + LEASE_MARGIN_S
        self._cached: Access | None = None
        self._cached_until = 0.0
        self._refused = self._accepted = -1
        self._refreshing: asyncio.Task[Access] | None = None

    async def current(self) -> Access:
        cached = self._cached
        if cached and cached.generation > self._refused and time.monotonic() < self._cached_until:
            return cached
        # Once for all calls of this process; it continues when a call is cancelled.
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh_or_wait())
            self._refreshing.add_done_callback(_retrieve_error)
        return await asyncio.shield(self._refreshing)

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

    async def _refresh_or_wait(self) -> Access:
        row = await self._rows.read()
        first, give_up_at = row.generation, time.monotonic() + self._lease_s
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
                    return self._cache(row, min(row.valid_s, _POLL_S))
                if time.monotonic() > give_up_at:
                    what = f"tokens were still being renewed by another worker after {self._lease_s:.0f} s"
                    raise GongUnavailableError(what, calls=0, advice=CHECK_ENDPOINT)
                await asyncio.sleep(_POLL_S)
            row = await self._rows.read()

    def _is_usable(self, row: TokenRow, seconds: float) -> bool:
        return row.access_token is not None and seconds > 0 and row.generation > self._refused

    def _cache(self, row: TokenRow, seconds: float) -> Access:
        token = self._rows.plain(row.access_token or "")
        access = Access(f"Bearer {token}", row.base_url or self._base_url, row.generation)
        self._cached, self._cached_until = access, time.monotonic() + seconds
        return access

    async def _check_refreshable(self, row: TokenRow) -> None:
        """:raises GongCredentialsError: a renewal would not help."""
        if row.is_dead:
            what = INVALID_GRANT
            if row.asked_at is not None:
                what += (
                    f". At {row.asked_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC a renewal was sent whose "
                    "response never arrived, or whose worker was killed: Gong used the token up then"
                )
            raise GongCredentialsError(what, calls=0, advice=CONNECT_AGAIN)
        if self._refusals(row) >= MAX_REFUSED_IN_A_ROW:
            await asyncio.sleep(SHARED_STATE_DELAY_S)
            if self._refusals(await self._rows.read()) >= MAX_REFUSED_IN_A_ROW:
                what = f"gives tokens and then refuses them: {MAX_REFUSED_IN_A_ROW} pairs in a row"
                raise GongCredentialsError(what, calls=0, advice=CHECK_SCOPE)

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
        sent_at = await self._rows.lease(row.generation, self._lease_s)
        if sent_at is None:
            return False
        result = await self._endpoint.refresh(refresh_token)
        if isinstance(result, Tokens):
            await self._store(row, result, sent_at)
            log.info("Gong gave new tokens, generation %d, for %.0f s", row.generation + 1, result.lifetime_s)
            return True
        log.warning("Gong's OAuth tokens were not renewed: %s", result.error)
        try:
            await self._rows.release(row.generation, sent_at, result.token_state)
        except GongCoordinationError as error:
            log.warning("The lease was not released and expires by itself: %s", error)
        if result.token_state is not RefreshTokenState.DEAD:
            raise result.error
        return True

    async def _store(self, row: TokenRow, tokens: Tokens, sent_at: datetime) -> None:
        """Store the new pair, with retries: the old one is no longer valid."""
        was_refused = self._was_refused(row)
        for pause_s in _STORE_PAUSES_S:
            try:
                return await self._rows.store(row.generation, tokens, sent_at, was_refused=was_refused)
            except GongCoordinationError as error:
                log.warning("New OAuth tokens are not stored yet: %s", error)
                await asyncio.sleep(pause_s)
        return await self._rows.store(row.generation, tokens, sent_at, was_refused=was_refused)


def _retrieve_error(task: asyncio.Task[Access]) -> None:
    """Keep asyncio from logging an error that nothing awaits, as all calls were cancelled."""
    if not task.cancelled():
        task.exception()
