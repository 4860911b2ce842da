"""OAuth credentials that many workers share: who renews them, when, and what all others do meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gong_provider.client.client import Transport
from gong_provider.client.errors import GongCoordinationError, GongTransientError
from gong_provider.client.protocols import Access
from gong_provider.db.database import Database
from gong_provider.oauth import token_errors
from gong_provider.oauth.token_endpoint import Fate, NotExchanged, TokenEndpoint, Tokens
from gong_provider.oauth.token_store import Cipher, Lease, TokenRow, TokenRows

log = logging.getLogger(__name__)

DEADLINE_S = 30.0
LEASE_MARGIN_S = 30.0
"""A lease outlives the call's own deadline by this much."""
RECHECK_S = 10.0
"""A token that could not be renewed, but still lives, is used so long before the next try."""
MAX_REFUSED_IN_A_ROW = 2
MAX_RENEWALS = 2
"""So many may one call cause: what Gong refuses then is what is asked for, not the token."""
NEWS_S = 2.0
"""So long may word from others that Gong took a token, or refused it, be under way."""

_POLLS_S = (0.1, 1.0)
_STORE_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class _Held:
    """What this process calls with, until ``until`` on its own clock."""

    access: Access = field(repr=False)
    until: float


class RenewedCredentials:
    """Tokens of one account, kept in the coordination database and renewed by one worker at a time.

    :param account: the row's key: whose tokens these are, whichever connection leads there.
    :param refresh_token: from the connection: wins over the stored pair when it was not seen before.
    :param base_url: where calls go until Gong says the customer's own.
    :param transport: proxy and TLS options towards the token endpoint.
    :param deadline_s: seconds for one exchange with the token endpoint.
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
        transport: Transport,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._rows = TokenRows(database, cipher, account, refresh_token)
        self._endpoint = TokenEndpoint(oauth_endpoint, client_id, client_secret, transport, deadline_s)
        self._base_url = base_url
        self._lease_s = deadline_s + LEASE_MARGIN_S
        self._held: _Held | None = None
        self._refused = self._accepted = -1
        self._obtaining: asyncio.Task[_Held] | None = None

    async def current(self) -> Access:
        held = self._held
        if held is None or held.access.generation <= self._refused or time.monotonic() >= held.until:
            held = await self._obtained()
        return held.access

    async def renew(self, refused: Access, renewals: int = 0) -> int | None:
        """Where not None, the next ``current`` brings another access or raises.

        A call that has caused ``MAX_RENEWALS`` goes on only if others find that this token has ended, too.
        """
        if refused.generation <= self._refused:
            return renewals  # another call found it before
        if renewals < MAX_RENEWALS:
            self._refused = refused.generation
            return renewals + 1
        await asyncio.sleep(NEWS_S)
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
            self._accepted = before  # noted with the next answer: this one is not to be lost for it

    async def close(self) -> None:
        """Let a renewal under way end: a pair that is not stored is lost."""
        if self._obtaining is not None:
            await asyncio.wait({self._obtaining})

    async def _obtained(self) -> _Held:
        """One renewal for all calls of this process; it goes on when a call is cancelled."""
        if self._obtaining is None or self._obtaining.done():
            self._obtaining = asyncio.create_task(self._obtain())
            self._obtaining.add_done_callback(_note_error)
        return await asyncio.shield(self._obtaining)

    async def _obtain(self) -> _Held:
        row = await self._rows.read()
        first, pause = row.generation, _POLLS_S[0]
        give_up_at = time.monotonic() + self._lease_s
        while True:
            if row.access_token and (row.generation > first or self._lives(row, row.fresh_s)):
                return self._hold(row, row.fresh_s)
            await self._check_use(row)
            try:
                leased = await self._exchanged(row)
            except GongTransientError:
                row = await self._rows.read()
                if not self._lives(row, row.valid_s):
                    raise
                return self._hold(row, min(row.valid_s, RECHECK_S))
            if not leased:
                if self._lives(row, row.valid_s):
                    return self._hold(row, min(row.valid_s, _POLLS_S[1]))
                if time.monotonic() > give_up_at:
                    raise token_errors.TokenEndpointDownError(
                        "tokens of this account were still being renewed by another worker after "
                        f"{self._lease_s:.0f} s",
                        calls=0,
                    )
                await asyncio.sleep(pause)
                pause = min(1.5 * pause, _POLLS_S[1])
            row = await self._rows.read()

    def _lives(self, row: TokenRow, seconds: float) -> bool:
        return row.access_token is not None and seconds > 0 and row.generation > self._refused

    def _hold(self, row: TokenRow, seconds: float) -> _Held:
        token = self._rows.plain(row.access_token or "")
        access = Access(f"Bearer {token}", row.base_url or self._base_url, row.generation)
        self._held = _Held(access, time.monotonic() + seconds)
        return self._held

    async def _check_use(self, row: TokenRow) -> None:
        """:raises GongCredentialsError: a renewal could bring nothing that works."""
        if row.is_dead:
            raise _dead(row)
        if self._refusals(row) >= MAX_REFUSED_IN_A_ROW:
            await asyncio.sleep(NEWS_S)
            if self._refusals(await self._rows.read()) >= MAX_REFUSED_IN_A_ROW:
                raise token_errors.TokensRefusedError(
                    f"gives tokens and then refuses them: {MAX_REFUSED_IN_A_ROW} pairs in a row", calls=0
                )

    def _was_refused(self, row: TokenRow) -> bool:
        """Refused from its first call on, as far as this process saw, and not for its age."""
        return row.valid_s > 0 and self._accepted < row.generation <= self._refused

    def _refusals(self, row: TokenRow) -> int:
        """How many pairs in a row Gong gave and never took."""
        if not self._was_refused(row):
            return row.refused_in_a_row
        return 0 if row.accepted_generation >= row.generation else row.refused_in_a_row + 1

    async def _exchanged(self, row: TokenRow) -> bool:
        """Renew, or find that another worker does; the row says what came of it.

        :raises GongError: there is no new pair, and it was not for the refresh token.
        """
        refresh_token = self._rows.plain(row.refresh_token)
        lease = await self._rows.lease(row.generation, self._lease_s)
        sent_at = await self._rows.sending(lease) if lease is not None else None
        if lease is None or sent_at is None:
            return False
        answer = await self._endpoint.exchange(refresh_token)
        if isinstance(answer, Tokens):
            await self._store(lease, answer, sent_at, was_refused=self._was_refused(row))
            log.info("Gong gave new tokens, generation %d, for %.0f s", lease.generation + 1, answer.life_s)
            return True
        await self._release(lease, sent_at, answer)
        if answer.fate is not Fate.DEAD:
            raise answer.error
        return True

    async def _release(self, lease: Lease, sent_at: datetime, answer: NotExchanged) -> None:
        log.warning("Gong's OAuth tokens were not renewed: %s", answer.error)
        asked_at = lease.asked_at or (sent_at if answer.fate is Fate.UNKNOWN else None)
        try:
            await self._rows.release(lease, asked_at, is_dead=answer.fate is Fate.DEAD)
        except GongCoordinationError as error:
            log.warning("Their lease ends by itself: %s", error)

    async def _store(self, lease: Lease, tokens: Tokens, sent_at: datetime, *, was_refused: bool) -> None:
        """Gong has forgotten the old pair by now: so try more than once."""
        for pause in _STORE_PAUSES_S:
            try:
                return await self._rows.store(lease, tokens, sent_at, was_refused=was_refused)
            except GongCoordinationError as error:
                log.warning("New OAuth tokens are not stored yet: %s", error)
                await asyncio.sleep(pause)
        return await self._rows.store(lease, tokens, sent_at, was_refused=was_refused)


def _dead(row: TokenRow) -> token_errors.ConnectAgainError:
    what = "takes the stored refresh token no more (invalid_grant): it was used, revoked, or has ended"
    if row.asked_at is not None:
        what += (
            f". At {row.asked_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC a renewal was sent whose answer "
            "never arrived, or whose worker was killed: Gong took the token then"
        )
    return token_errors.ConnectAgainError(what, calls=0)


def _note_error(task: asyncio.Task[_Held]) -> None:
    """Also where all who waited were cancelled, asyncio is not to complain."""
    if not task.cancelled():
        task.exception()
